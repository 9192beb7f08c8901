"""Tables: of results, and of one row per item."""

from __future__ import annotations

from cliptune.notebook import html
from cliptune.results.columns import is_text
from cliptune.results.formatting import column_title, format_cells, key_text, split_shared_keys
from cliptune.results.row_tables import RowTable
from cliptune.results.summary import Table


def result_table_html(result: Table) -> str:
    """Means and deviations, marked as in other formats: ± before deviations, the best of a column with a star."""
    keys, shared = split_shared_keys(result)
    columns = [column_title(column) for column in result.columns]
    rows = []
    for row, cells in zip(result.rows, format_cells(result), strict=True):
        values = [
            " ".join(part for part in (one.mean + "*" * one.best, one.std and f"± {one.std}", one.remark) if part)
            for one in cells
        ]
        rows.append([*(key_text(row, key) for key in keys), *values])
    numeric = [*(key for key in keys if not is_text(key)), *columns]
    best = any(cell.best for line in format_cells(result) for cell in line)
    notes = [*(["* is the best of its column."] if best else []), *result.footnotes]
    return html.block(shared or "results", html.table([*keys, *columns], rows, numeric), *map(html.note, notes))


def row_table_html(rows: RowTable) -> str:
    """The first rows of a table without pandas."""
    shown = [[row[name] for name in rows.columns] for row in rows[: html.MAX_ROWS]]
    numeric = [
        name
        for i, name in enumerate(rows.columns)
        if any(isinstance(row[i], (int, float)) and not isinstance(row[i], bool) for row in shown)
    ]
    return html.block(f"{len(rows):,} rows", html.table(rows.columns, shown, numeric, len(rows)))
