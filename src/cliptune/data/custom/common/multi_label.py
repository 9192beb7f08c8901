"""Several labels in one cell of a table: cat|dog, cat; dog, ["cat", "dog"]."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

#: The value of the separator for one label per cell.
NONE = "none"
#: Separators that are detected, and those that occur in names of single classes too, which are only warned of.
GUESSED, REMARKED = ("|", ";", ","), ("/", "+", "&")
#: Brackets around a list of labels.
BRACKETS = {"[": "]", "(": ")", "{": "}"}
#: The items of a list as NumPy prints it, without commas.
PRINTED = re.compile(r"""'([^']*)'|"([^"]*)"|(-?\d+)""")

Splitter = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True)
class _Combined:
    """The cells that a separator splits, each with its parts.

    shared: number of distinct parts that are labels of other cells too. parts: number of distinct parts.
    """

    cells: dict[str, tuple[str, ...]]
    shared: int
    parts: int


def label_splitter(cells: Sequence[str], where: str, separator: str = "") -> Splitter | None:
    """A function that splits a cell into its labels, or None if each cell is one label.

    Args:
        cells: All label cells.
        where: Name of the data in messages.
        separator: Between labels; "none" for one label per cell; "" detects it, with a warning. Lists and `|` separate
            labels; `;` and `,` do if most of the parts are labels of other cells too.

    Raises:
        UserError: If no cell contains the separator.
    """
    if separator == NONE:
        return None
    if separator:
        if not any(separator in cell for cell in cells):
            raise UserError(
                f"no label of {where} contains {separator!r}, such as {next(iter(cells), '')!r}; choose another "
                f"--label-separator, or leave it out"
            )
        return lambda cell: _parts(cell, separator)
    lists = {cell: items for cell in dict.fromkeys(cells) if (items := _list(cell)) is not None}
    if lists:
        return _with_warning(lambda cell: lists[cell] if cell in lists else (cell,), lists, cells, where)
    for sign in GUESSED:
        found = _combined(cells, sign)
        if found.cells and (sign == "|" or 2 * found.shared > found.parts):
            return _with_warning(lambda cell, sign=sign: _parts(cell, sign), found.cells, cells, where)
        if found.cells and (sign == ";" or found.shared):
            _warn_of_separator(found, sign, where)
    for sign in REMARKED:
        found = _combined(cells, sign)
        if found.cells and found.shared == found.parts:
            _warn_of_separator(found, sign, where)
    return None


def warn_of_combined_names(names: Sequence[str], where: str) -> None:
    """Warn of a class name that seems to combine several classes, in data with one class per image."""
    for sign in (*GUESSED, *REMARKED):
        found = _combined(names, sign)
        whole = {cell: parts for cell, parts in found.cells.items() if sign == "|" or set(parts) <= set(names)}
        if whole:
            cell, parts = next(iter(whole.items()))
            warn_user(
                f"class {cell!r} of {where} exists next to {' and '.join(parts)}; images of several "
                f"classes are read from a table whose labels are such as {'|'.join(parts)} (csv:FILE)"
            )
            return


def _labels_in(value: Any) -> tuple[str, ...] | None:
    """The labels of a value that is a list of names or integers; None for anything else."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        return None
    items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
    if any(isinstance(item, bool) or not isinstance(item, (str, int)) for item in items):
        return None
    return tuple(dict.fromkeys(text for item in items if (text := str(item).strip())))


def _list(cell: str) -> tuple[str, ...] | None:
    """The labels of a cell that is a list in JSON, Python or NumPy syntax; None otherwise."""
    if len(cell) < 2 or BRACKETS.get(cell[0]) != cell[-1]:
        return None
    inside = cell[1:-1].strip()
    if "," not in inside and len(PRINTED.findall(inside)) > 1 and not PRINTED.sub("", inside).strip():
        return tuple(dict.fromkeys("".join(item) for item in PRINTED.findall(inside)))
    for read in (json.loads, ast.literal_eval):
        try:
            return _labels_in(read(cell))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def _parts(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part for piece in cell.split(separator) if (part := piece.strip())))


def _combined(cells: Sequence[str], separator: str) -> _Combined:
    """The cells with more than one label if split at `separator`."""
    distinct = {cell: _parts(cell, separator) for cell in dict.fromkeys(cells)}
    cells_of = Counter(part for parts in distinct.values() for part in parts)
    combined = {cell: parts for cell, parts in distinct.items() if len(parts) > 1}
    parts = {part for of_cell in combined.values() for part in of_cell}
    return _Combined(combined, sum(cells_of[part] > 1 for part in parts), len(parts))


def _with_warning(split: Splitter, divided: dict[str, tuple[str, ...]], cells: Sequence[str], where: str) -> Splitter:
    """`split`, after a warning about what it does."""
    several = sum(len(divided.get(cell, ())) > 1 for cell in cells)
    if several:
        cell, parts = next((cell, parts) for cell, parts in divided.items() if len(parts) > 1)
        warn_user(
            f"labels of {where} such as {cell!r} are read as several ({', '.join(parts)}): {several} of {len(cells)} "
            f"images show more than one class (--label-separator none makes each cell one class)"
        )
    return split


def _warn_of_separator(found: _Combined, separator: str, where: str) -> None:
    cell = next(iter(found.cells))
    warn_user(
        f"labels of {where} such as {cell!r} are treated as one class each (--label-separator {separator!r} "
        f"splits them, --label-separator none keeps them without this warning)"
    )
