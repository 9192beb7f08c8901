"""Cells and headings as text, the same in all formats."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from cliptune.results.aggregate import Cell, display_name
from cliptune.results.columns import COLUMNS, COST_COLUMNS
from cliptune.results.summary import AVERAGE, Row, Table, spread_width

MISSING = "–"
#: What stands for the number of shots of a run on a pool, which uses all images without their labels.
ALL_UNLABELLED = "all unlabelled"
#: Separates a metric from the values that a pivoted column is for: "test[16]" is test with 16 shots.
PIVOT_MARK = "["
#: Suffixes of the columns with published numbers after a metric.
PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX = "_published", "_difference"


@dataclass(frozen=True)
class FormattedCell:
    """A cell as text: mean, deviation and a remark, each possibly empty, and whether it is the best of its column."""

    mean: str
    std: str = ""
    remark: str = ""
    best: bool = False


def column_title(column: str) -> str:
    """The heading of a column."""
    metric, at, place = column.partition(PIVOT_MARK)
    for end in (PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX):
        if metric.endswith(end):
            return f"{column_title(metric.removesuffix(end))} {end[1:]}" + (f" {at}{place}" if at else "")
    part, slash, variant = display_name(metric).partition("/")
    titled = COLUMNS[part].title if part in COLUMNS else ""
    return (titled or part) + slash + variant + (f" {at}{place}" if metric and at else place.rstrip("]"))


def is_comparison_column(column: str) -> bool:
    """Whether a column contains published numbers, or differences from them, rather than measurements."""
    return column.partition(PIVOT_MARK)[0].endswith((PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX))


def key_value(row: Row, key: str) -> Any:
    """The value of a key column in a row; None if unknown. A pool is all images: 0 shots."""
    if key == "shots" and row.pool:
        return 0
    return row.more[key] if key in row.more else getattr(row, key, None)


def key_text(row: Row, key: str) -> str:
    """The value of a key column in a row as text."""
    value = key_value(row, key)
    if key == "metric":
        return column_title(str(value))
    if key == "shots" and row.pool:
        return ALL_UNLABELLED
    return MISSING if value is None else "all" if key == "shots" and value == 0 else str(value)


def split_shared_keys(table: Table) -> tuple[tuple[str, ...], str]:
    """The key columns in which rows differ, and a phrase with the values they share: "emoji, 16 shots, 3 seeds"."""
    first, rest = table.keys[:1], table.keys[1:]
    shared = (
        {k: key_text(table.rows[0], k) for k in rest if len({key_text(r, k) for r in table.rows}) == 1}
        if table.rows
        else {}
    )
    words = [
        f"{text} {k}" if k in ("shots", "seeds") else text if k in ("data", "method", "metric") else f"{k} {text}"
        for k, text in shared.items()
        if text != MISSING
    ]
    words = [word[:-1] if word in ("1 shots", "1 seeds") else word for word in words]
    return (*first, *(k for k in rest if k not in shared)), ", ".join(words)


def format_cells(table: Table, digits: int = 1) -> list[list[FormattedCell]]:
    """Format all cells of a table.

    The best cell of a column has the highest printed accuracy among methods with the same data, shots and settings.
    Gaps, costs, differences and published numbers have no best.
    """
    highest: dict[tuple, list[float]] = defaultdict(list)
    for row in table.rows:
        for j, cell in enumerate(row.cells):
            if cell is not None:
                highest[_ranking_group(row, j)].append(round(cell.mean, digits))
    rows = []
    for row in table.rows:
        cells = []
        for j, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            metric = metric_of(row, column)
            rivals = highest[_ranking_group(row, j)]
            ranked = metric not in COST_COLUMNS and not metric.endswith("/gap") and len(rivals) > 1
            ranked = ranked and not is_comparison_column(column) and not table.differences
            best = cell is not None and ranked and round(cell.mean, digits) == max(rivals)
            cells.append(_format_cell(metric, cell, row, digits, best, table))
        rows.append(cells)
    return rows


def metric_of(row: Row, column: str) -> str:
    """The metric in a cell: named by the column, or by the row if metrics are rows."""
    return str(row.more["metric"]) if "metric" in row.more else column.partition(PIVOT_MARK)[0]


def _ranking_group(row: Row, column: int) -> tuple:
    return row.data, row.shots, *row.more.values(), column


def _format_cell(metric: str, cell: Cell | None, row: Row, digits: int, best: bool, table: Table) -> FormattedCell:
    if cell is None:
        return FormattedCell(MISSING)
    remark = f"({cell.seeds})" if cell.seeds < row.seeds and row.data != AVERAGE else ""
    if metric in COST_COLUMNS:
        return FormattedCell(f"{cell.mean:,.{COST_COLUMNS[metric].decimals}f}", remark=remark)
    remark = " ".join(part for part in (remark, "" if cell.p is None else format_p(cell.p)) if part)
    width = spread_width(cell, table.spread)
    sign = "+" if table.differences or metric.endswith(DIFFERENCE_SUFFIX) else ""
    mean = round(cell.mean, digits) + 0.0  # avoids "-0.0"
    return FormattedCell(f"{mean:{sign}.{digits}f}", "" if width is None else f"{width:.{digits}f}", remark, best)


def format_p(p: float) -> str:
    """ "p=0.012", "p<0.001"."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"
