"""Saliency maps of tuned models: Grad-CAM and MaskCLIP."""
