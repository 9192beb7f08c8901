"""Tables of the HTML page: text, sort value and tint of each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cliptune.results.columns import is_text
from cliptune.results.formatting import FormattedCell, format_cells, key_text, key_value, split_shared_keys
from cliptune.results.formatting import column_title as title_of
from cliptune.results.summary import Table


@dataclass(frozen=True)
class HtmlCell:
    """A cell: its text, the value that it is sorted by, and a tint from -1 (worse) to 1 (better)."""

    shown: FormattedCell
    value: str | float
    tint: float = 0.0


@dataclass(frozen=True)
class HtmlTable:
    """A table: `head` contains a title and whether the column is numeric; the first cell of a row is its header."""

    caption: str
    head: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[HtmlCell, ...], ...]
    footnotes: tuple[str, ...] = ()


def to_html_table(table: Table, caption: str, heading: Callable[[str], str] = title_of) -> HtmlTable:
    """Convert a summary. Key columns with one value for all rows are in the caption instead."""
    keys, _ = split_shared_keys(table)
    head = [(k, not is_text(k)) for k in keys] + [(heading(c), True) for c in table.columns]
    rows = []
    for row, cells in zip(table.rows, format_cells(table), strict=True):
        entries = [
            HtmlCell(FormattedCell(key_text(row, k)), v if (v := key_value(row, k)) is not None else "") for k in keys
        ]
        entries += [HtmlCell(s, "" if c is None else c.mean) for s, c in zip(cells, row.cells, strict=True)]
        rows.append(tuple(entries))
    return HtmlTable(caption, tuple(head), tuple(rows), table.footnotes)


def shared_values(table: Table) -> str:
    """The values that all rows share, as the end of a caption."""
    values = split_shared_keys(table)[1]
    return f": {values}" if values else ""


def text_cell(words: str) -> HtmlCell:
    """A text cell."""
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
    """A numeric cell with its standard error or interval; a dash, which sorts last, for None."""
    if value is None:
        return HtmlCell(FormattedCell("–"), "")
    text = f"{round(value, digits) + 0.0:{sign}.{digits}f}"
    ends = "" if interval is None else f"({interval[0]:.{digits}f}–{interval[1]:.{digits}f})"
    return HtmlCell(FormattedCell(text, "" if error is None else f"{error:.{digits}f}", ends), value, tint)
