"""Segmentation models that make mask files."""
