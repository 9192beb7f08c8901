"""Shared parts of the protocols: dataset groups, and tasks with transfer test sets."""
