"""Tables as a page shows them: what a cell says, what it is sorted by, how it is tinted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cliptune.results.columns import is_text
from cliptune.results.summary import Table
from cliptune.results.table import FormattedCell, key_text, key_value, shown, split_shared_keys
from cliptune.results.table import column_title as title_of


@dataclass(frozen=True)
class HtmlCell:
    """A cell of a page's table: what it says, and what it is sorted by.

    tint: from -1 (all of the colour for worse) to 1 (all of the colour for better).
    """

    shown: FormattedCell
    value: str | float
    tint: float = 0.0


@dataclass(frozen=True)
class HtmlTable:
    """A table for the page: `head` holds title and whether it is of numbers; the first entry of a row heads it."""

    caption: str
    head: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    footnotes: tuple[str, ...] = ()


def to_html_table(table: Table, caption: str, heading: Callable[[str], str] = title_of) -> HtmlTable:
    """A summary as a sheet; columns that say the same in every row are left to the caption."""
    keys, _ = split_shared_keys(table)
    head = [(k, not is_text(k)) for k in keys] + [(heading(c), True) for c in table.columns]
    rows = []
    for row, cells in zip(table.rows, shown(table), strict=True):
        entries = [
            HtmlCell(FormattedCell(key_text(row, k)), v if (v := key_value(row, k)) is not None else "") for k in keys
        ]
        entries += [HtmlCell(s, "" if c is None else c.mean) for s, c in zip(cells, row.cells, strict=True)]
        rows.append(tuple(entries))
    return HtmlTable(caption, tuple(head), tuple(rows), table.footnotes)


def shared_values(table: Table) -> str:
    """What all rows share, to end a caption with."""
    said = split_shared_keys(table)[1]
    return f": {said}" if said else ""


def text_cell(words: str) -> HtmlCell:
    """A cell of words."""
    return HtmlCell(FormattedCell(words), words)


def number_cell(
    value: float | None,
    *,
    digits: int = 1,
    sign: str = "",
    error: float | None = None,
    interval: tuple[float, float] | None = None,
    tint: float = 0.0,
) -> HtmlCell:
    """A cell of a number, with its standard error or interval; a dash, which sorts last, where there is none."""
    if value is None:
        return HtmlCell(FormattedCell("–"), "")
    said = f"{round(value, digits) + 0.0:{sign}.{digits}f}"
    ends = "" if interval is None else f"({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
    return HtmlCell(FormattedCell(said, "" if error is None else f"{error:.{digits}f}", ends), value, tint)
