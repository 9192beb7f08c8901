"""Warnings of searches, which train many times on similar images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from cliptune.user_warnings import warn_user


@contextmanager
def each_warning_once() -> Iterator[None]:
    """Give the warnings of the block when it ends, but none that this process was given before.

    They name the caller of the function that contains the block.
    """
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            yield
    finally:
        for one in caught:
            warn_once(str(one.message), one.category)


@cache
def warn_once(message: str, category: type[Warning]) -> None:
    """Warn, unless this process was given the same warning before."""
    warn_user(message, category)
