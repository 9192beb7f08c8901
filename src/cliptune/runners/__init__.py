"""Runners by name: where the runs of a sweep are executed; `get("ray")` finds `runners/ray.py`."""

from __future__ import annotations

import importlib

from cliptune.errors import UserError
from cliptune.runners.job import Runner

NAMES = ("local", "ray")


def get(name: str) -> type[Runner]:
    """The runner's class. Raises `UserError` for an unknown name."""
    if name not in NAMES:
        raise UserError(f"unknown runner {name!r}; there are {', '.join(NAMES)}")
    return getattr(importlib.import_module(f"{__name__}.{name}"), name.capitalize())
