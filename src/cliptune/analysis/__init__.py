"""What tuned models rely on and what they learned, as functions of pictures and tensors."""
