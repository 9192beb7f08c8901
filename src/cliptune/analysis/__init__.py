"""Analyses of tuned models: reliance on backgrounds, nearest words of learned context."""
