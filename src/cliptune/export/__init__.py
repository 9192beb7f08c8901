"""Files from which a tuned model classifies images without cliptune: ONNX, PyTorch's exported programs, numpy."""
