"""Choose a method for data: compare candidates on images that they were not trained on, within a time limit."""
