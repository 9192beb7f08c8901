"""Warnings about value ranges that reading deep images had to assume: one per image, or one with counts for many."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_assumed: ContextVar[list[tuple[str, str]] | None] = ContextVar("assumed", default=None)


def warn_assumed_range(name: str, said: str) -> None:
    """Warn about the range assumed for image `name`, or collect it in `collect_assumed_ranges`; "" is ignored."""
    held = _assumed.get()
    if said and held is None:
        warnings.warn(f"image {name}: {said}", stacklevel=3)
    elif said and held is not None:
        held.append((name, said))


@contextmanager
def collect_assumed_ranges() -> Iterator[list[tuple[str, str]]]:
    """Collect image names and assumed ranges within the block, in place of one warning per image."""
    held: list[tuple[str, str]] = []
    token = _assumed.set(held)
    try:
        yield held
    finally:
        _assumed.reset(token)


def warn_assumed_ranges(assumed: Sequence[tuple[str, str]], total: int) -> None:
    """Warn once about the assumed ranges of some of `total` images, with the number and an example per kind; within
    `collect_assumed_ranges`, they are collected."""
    held = _assumed.get()
    if held is not None:
        held.extend(assumed)
        return
    if total == 1:
        for name, said in assumed:
            warn_assumed_range(name, said)
        return
    kinds: dict[str, list[str]] = {}
    for name, said in assumed:
        kinds.setdefault(said, []).append(name)
    if kinds:
        shown = "; ".join(f"{len(names)} such as {names[0]}: {said}" for said, names in kinds.items())
        odd = ", so their brightness does not compare" if len(kinds) > 1 or len(assumed) < total else ""
        warnings.warn(
            f"the range of {len(assumed)} of {total} images is assumed from their values{odd} ({shown}); convert "
            f"them to 8 bits to decide it yourself",
            stacklevel=3,
        )
