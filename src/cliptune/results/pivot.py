"""Pivot a table: move dimensions between rows and columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cliptune.errors import UserError
from cliptune.results.formatting import ALL_UNLABELLED, PIVOT_MARK, key_text, key_value
from cliptune.results.labels import setting_sort_key
from cliptune.results.summary import AVERAGE, Cell, Row, Table

#: Key columns that are counts, not dimensions.
COUNT_KEYS = ("seeds",)


def pivot(table: Table, rows: Sequence[str] = (), columns: Sequence[str] = ("metric",)) -> Table:
    """Arrange the values of a table with the dimensions `columns` in columns and all others in rows.

    A dimension is "metric" or a key of the table other than "seeds". Pivoted columns are named "<metric>[<value>]", or
    "[<value>]" if metrics are in rows.

    Args:
        table: the table.
        rows: dimensions in the order in which rows are sorted; the others follow.
        columns: dimensions to place in columns.

    Raises:
        UserError: for an unknown dimension, or one in both `rows` and `columns`.
    """
    dimensions = [*(key for key in table.keys if key not in COUNT_KEYS), "metric"]
    _check_dimensions(dimensions, rows, columns)
    if not rows and tuple(columns) == ("metric",):
        return table
    across = [name for name in columns if name != "metric"]
    down = [*rows, *(name for name in dimensions if name not in (*rows, *columns))]
    ranks = {name: _ranks(table, name) for name in dimensions}
    lines: dict[tuple, dict[tuple, Cell]] = {}
    seeds: dict[tuple, int] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is None:
                continue
            at = {name: column if name == "metric" else _dimension_value(row, name) for name in dimensions}
            place = tuple(at[name] for name in down)
            lines.setdefault(place, {})[tuple(at[name] for name in ("metric", *across) if name in columns)] = cell
            seeds[place] = max(seeds.get(place, 0), row.seeds)
    kinds = [name for name in ("metric", *across) if name in columns]
    heads = sorted({head for cells in lines.values() for head in cells}, key=lambda h: _rank(h, kinds, ranks))
    pivoted = []
    for place in sorted(lines, key=lambda p: _rank(p, down, ranks)):
        values_of = dict(zip(down, place, strict=True))
        cells = tuple(lines[place].get(head) for head in heads)
        own = {name: values_of.get(name) for name in ("method", "data", "shots")}
        more = {name: value for name, value in values_of.items() if name not in own}
        pool = own["shots"] == ALL_UNLABELLED
        shots = 0 if pool else own["shots"]
        pivoted.append(Row(str(own["method"]), str(own["data"] or ""), shots, seeds[place], cells, more, pool))
    names = tuple(_heading(head, kinds, table) for head in heads)
    keys = (*down, *(key for key in table.keys if key in COUNT_KEYS))
    notes = table.footnotes
    if across:
        metric = "<metric>" if "metric" in columns else ""
        notes = (*notes, f"{metric}{PIVOT_MARK}{', '.join(across)}]: a column for each value of {_join_and(across)}.")
    return dataclasses.replace(table, columns=names, rows=tuple(pivoted), keys=keys, footnotes=notes)


def _check_dimensions(dimensions: Sequence[str], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Raise `UserError` for an unknown dimension, one in both rows and columns, or methods in columns."""
    for name in (*rows, *columns):
        if name not in dimensions:
            raise UserError(f"the table has no dimension {name!r}; it has {', '.join(dimensions)}")
    for name in rows:
        if name in columns:
            raise UserError(f"{name} cannot be both in rows and in columns")
    if "method" in columns:
        others = ", ".join(name for name in dimensions if name != "method")
        raise UserError(f"methods are always in rows; columns take any of {others}")


def _dimension_value(row: Row, name: str) -> Any:
    """The value of a key in a row. A pool differs from all images with labels, though both have 0 shots as a number."""
    return ALL_UNLABELLED if name == "shots" and row.pool else key_value(row, name)


def _ranks(table: Table, name: str) -> dict[Any, Any]:
    """Sort keys of the values of a dimension: methods and metrics in table order, the average after all datasets."""
    if name == "metric":
        return {column: i for i, column in enumerate(table.columns)}
    if name == "method":
        return {value: i for i, value in enumerate(_methods(table))}
    ranks = {}
    for row in table.rows:
        value = key_value(row, name)
        ranks[_dimension_value(row, name)] = value == AVERAGE, setting_sort_key(value), row.pool
    return ranks


def _methods(table: Table) -> list[str]:
    """Methods in an order consistent with that of every dataset."""
    found: list[str] = []
    for row in table.rows:
        if row.method not in found:
            before = [r.method for r in table.rows if r.data == row.data]
            after = before[before.index(row.method) + 1 :]
            place = min((found.index(m) for m in after if m in found), default=len(found))
            found.insert(place, row.method)
    return found


def _rank(place: Sequence[Any], names: Sequence[str], ranks: dict[str, dict[Any, Any]]) -> list[Any]:
    return [ranks[name][value] for name, value in zip(names, place, strict=True)]


def _heading(head: tuple, kinds: Sequence[str], table: Table) -> str:
    """The name of a pivoted column, "test[16]"; costs are metrics here."""
    values_of = dict(zip(kinds, head, strict=True))
    row = Row("", "", None, 0, (), values_of)
    values = ", ".join(key_text(row, name) for name in kinds if name != "metric")
    return f"{values_of.get('metric', '')}{PIVOT_MARK}{values}]" if values else str(values_of["metric"])


def _join_and(names: Sequence[str]) -> str:
    return " and ".join(names)
