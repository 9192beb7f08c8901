"""Results made by hand."""

from example_results import panel, record, study

__all__ = ["panel", "record", "study"]
