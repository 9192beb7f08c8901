"""Protocols by name: a file here is a generator of tasks of the same name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from cliptune.registry import Registry
from cliptune.types import Task

#: Shots that papers report under a protocol, where that is not 16; 0 takes all.
DEFAULT_SHOTS = {"few_shot": (1, 2, 4, 8, 16), "data_efficient": (0,)}

REGISTRY = Registry("protocol", (__name__,))


def names() -> list[str]:
    """The names of all protocols, sorted."""
    return REGISTRY.names()


def get(name: str) -> Callable[..., Iterator[Task]]:
    """The generator `name`; "base-to-novel" and "base_to_novel" are the same.

    Raises `UserError` with the nearest names if there is none.
    """
    return REGISTRY.get(name)


def has_option(name: str, option: str) -> bool:
    """Whether a protocol has an option of its own, such as targets."""
    return option in inspect.signature(get(name)).parameters
