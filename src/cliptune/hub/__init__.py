"""Runs on the Hugging Face hub: their names, download and upload. No code is ever loaded from there."""
