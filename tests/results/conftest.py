"""Hand-made results."""

from example_results import panel, record, study

__all__ = ["panel", "record", "study"]
