"""Publish a run on the Hugging Face hub: its files, its model card, and the upload."""
