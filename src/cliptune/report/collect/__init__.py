"""Collect report data from checkpoints: panels, confusion, words, feature shifts, background reliance."""
