"""What reading an image assumed of its values: a warning for one image, one with counts for many."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_assumed: ContextVar[list[tuple[str, str]] | None] = ContextVar("assumed", default=None)


def warn_assumed_range(name: str, said: str) -> None:
    """Warn of what is assumed of the image `name`, or collect it within `assuming`; "" is nothing."""
    held = _assumed.get()
    if said and held is None:
        warnings.warn(f"image {name}: {said}", stacklevel=3)
    elif said and held is not None:
        held.append((name, said))


@contextmanager
def collect_assumed_ranges() -> Iterator[list[tuple[str, str]]]:
    """Collect names of images and what is assumed of them, which is otherwise a warning for each."""
    held: list[tuple[str, str]] = []
    token = _assumed.set(held)
    try:
        yield held
    finally:
        _assumed.reset(token)


def warn_assumed_ranges(assumed: Sequence[tuple[str, str]], total: int) -> None:
    """One warning about what was assumed of some of `total` images, with the number and an example of each kind; within
    `assuming`, they are collected."""
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
