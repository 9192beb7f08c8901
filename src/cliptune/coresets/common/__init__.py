"""What several coreset methods are made of."""
