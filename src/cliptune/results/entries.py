"""Tables as a page shows them: what a cell says, what it is sorted by, how it is tinted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cliptune.results.summary import Table
from cliptune.results.table import TEXT, Shown, folded, key_text, key_value, shown
from cliptune.results.table import title as title_of


@dataclass(frozen=True)
class Entry:
    """A cell of a page's table: what it says, and what it is sorted by.

    tint: from -1 (all of the colour for worse) to 1 (all of the colour for better).
    """

    shown: Shown
    value: str | float
    tint: float = 0.0


@dataclass(frozen=True)
class Sheet:
    """A table for the page: `head` holds title and whether it is of numbers; the first entry of a row heads it."""

    caption: str
    head: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Entry, ...], ...]
    footnotes: tuple[str, ...] = ()


def sheet_of(table: Table, caption: str, heading: Callable[[str], str] = title_of) -> Sheet:
    """A summary as a sheet; columns that say the same in every row are left to the caption."""
    keys, _ = folded(table)
    head = [(k, k not in TEXT) for k in keys] + [(heading(c), True) for c in table.columns]
    rows = []
    for row, cells in zip(table.rows, shown(table), strict=True):
        entries = [Entry(Shown(key_text(row, k)), v if (v := key_value(row, k)) is not None else "") for k in keys]
        entries += [Entry(s, "" if c is None else c.mean) for s, c in zip(cells, row.cells, strict=True)]
        rows.append(tuple(entries))
    return Sheet(caption, tuple(head), tuple(rows), table.footnotes)


def of(table: Table) -> str:
    """What all rows share, to end a caption with."""
    said = folded(table)[1]
    return f": {said}" if said else ""


def text(words: str) -> Entry:
    """A cell of words."""
    return Entry(Shown(words), words)


def number(
    value: float | None,
    *,
    digits: int = 1,
    sign: str = "",
    error: float | None = None,
    interval: tuple[float, float] | None = None,
    tint: float = 0.0,
) -> Entry:
    """A cell of a number, with its standard error or interval; a dash, which sorts last, where there is none."""
    if value is None:
        return Entry(Shown("–"), "")
    said = f"{round(value, digits) + 0.0:{sign}.{digits}f}"
    ends = "" if interval is None else f"({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
    return Entry(Shown(said, "" if error is None else f"{error:.{digits}f}", ends), value, tint)
