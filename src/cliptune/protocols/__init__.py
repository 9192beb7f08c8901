"""Protocols by name: a file here is a generator of tasks of the same name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

from cliptune.errors import UserError
from cliptune.types import Task

#: Shots that papers report under a protocol, where that is not 16; 0 takes all.
DEFAULT_SHOTS = {"few_shot": (1, 2, 4, 8, 16), "data_efficient": (0,)}


def names() -> list[str]:
    """Every protocol's name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Callable[..., Iterator[Task]]:
    """The generator `name` ("base-to-novel" and "base_to_novel" are the same)."""
    known = name.replace("-", "_")
    if known not in names():
        close = difflib.get_close_matches(known, names(), n=2, cutoff=0.4)
        raise UserError(f"unknown protocol {name!r}; nearest: {', '.join(close or names())}")
    return getattr(importlib.import_module(f"{__name__}.{known}"), known)


def has_option(name: str, option: str) -> bool:
    """Whether a protocol has an option of its own, such as targets."""
    return option in inspect.signature(get(name)).parameters
