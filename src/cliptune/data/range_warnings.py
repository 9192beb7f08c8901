"""Warnings about value ranges that reading deep images had to assume: one per image, or one with counts for many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from cliptune.user_warnings import warn_user

_assumed: ContextVar[list[tuple[str, str]] | None] = ContextVar("assumed", default=None)


def warn_assumed_range(name: str, assumption: str) -> None:
    """Warn about the range assumed for image `name`, or collect it in `collect_assumed_ranges`; "" is ignored."""
    collected = _assumed.get()
    if assumption and collected is None:
        warn_user(f"image {name}: {assumption}")
    elif assumption and collected is not None:
        collected.append((name, assumption))


@contextmanager
def collect_assumed_ranges() -> Iterator[list[tuple[str, str]]]:
    """Collect image names and assumed ranges within the block, in place of one warning per image."""
    collected: list[tuple[str, str]] = []
    token = _assumed.set(collected)
    try:
        yield collected
    finally:
        _assumed.reset(token)


def warn_assumed_ranges(assumed: Sequence[tuple[str, str]], total: int) -> None:
    """Warn once about the assumed ranges of some of `total` images, with the number and an example per kind; within
    `collect_assumed_ranges`, they are collected."""
    collected = _assumed.get()
    if collected is not None:
        collected.extend(assumed)
        return
    if total == 1:
        for name, assumption in assumed:
            warn_assumed_range(name, assumption)
        return
    kinds: dict[str, list[str]] = {}
    for name, assumption in assumed:
        kinds.setdefault(assumption, []).append(name)
    if kinds:
        shown = "; ".join(f"{len(names)} such as {names[0]}: {assumption}" for assumption, names in kinds.items())
        odd = ", so their brightness does not compare" if len(kinds) > 1 or len(assumed) < total else ""
        warn_user(
            f"the range of {len(assumed)} of {total} images is assumed from their values{odd} ({shown}); convert "
            f"them to 8 bits to decide it yourself"
        )
