"""Registry of runners: where the runs of a sweep are executed."""

from __future__ import annotations

from cliptune.registry import Registry
from cliptune.runners.runner import Runner

REGISTRY = Registry("runner", others={"local": f"{__name__}.local:Local", "ray": f"{__name__}.ray:Ray"})


def get(name: str) -> type[Runner]:
    """The class of the runner `name`. Raises `UserError` if there is none."""
    return REGISTRY.get(name)
