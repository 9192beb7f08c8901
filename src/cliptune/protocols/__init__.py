"""Protocols: what a run trains and tests on. Each module in this folder defines a generator of tasks of its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from cliptune.registry import Registry
from cliptune.types import Task

#: Numbers of shots that papers report under a protocol if it is not 16; 0 uses all images.
DEFAULT_SHOTS = {"few_shot": (1, 2, 4, 8, 16), "data_efficient": (0,)}

REGISTRY = Registry("protocol", (__name__,))


def names() -> list[str]:
    """The names of all protocols, sorted."""
    return REGISTRY.names()


def get(name: str) -> Callable[..., Iterator[Task]]:
    """The task generator of a protocol; "base-to-novel" and "base_to_novel" are the same.

    Raises `UserError` with the nearest names if there is none.
    """
    return REGISTRY.get(name)


def has_option(name: str, option: str) -> bool:
    """Whether a protocol has an option of that name, such as "targets"."""
    return option in inspect.signature(get(name)).parameters
