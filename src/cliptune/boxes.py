"""Boxes as tables and annotations name them: corners, a corner and sides, or a list; in pixels or as shares."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cliptune.errors import UserError, shown

#: Left, top, right, bottom.
Box = tuple[float, float, float, float]

#: Names of columns and keys, lower case: left, top, right, bottom; or left, top, width, height.
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))
#: Names of what holds four numbers at once, or several boxes.
LISTS = ("bbox", "bboxes", "box", "boxes")
EXPECTED = "boxes are left,top,right,bottom in pixels, or all of them in [0, 1]"


def find_box_columns(names: Collection[str]) -> tuple[str, ...]:
    """Those of `names` that say where a box is, () where there are none."""
    four = next((group for group in (*CORNERS, *SIDES) if set(group) <= set(names)), ())
    return four or next(((name,) for name in LISTS if name in names), ())


def parse_box(numbers: Any, where: str, sides: bool = False) -> Box | str:
    """Left, top, right, bottom of four numbers that span something (`sides`: of x, y, width, height), or what is wrong
    with them and where they stand."""
    try:
        left, top, right, bottom = (float(x) for x in numbers)
    except (TypeError, ValueError, OverflowError):
        named = " of x, y, width and height" if sides else ""
        return f"{where}: {shown(numbers)} is not a box{named}; {EXPECTED}"
    right, bottom = (left + right, top + bottom) if sides else (right, bottom)
    said = f"{where}: the box {left:g},{top:g},{right:g},{bottom:g}"
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return f"{said} has sides that are no finite numbers; {EXPECTED}"
    if left > right or top > bottom:
        return f"{said} ends before it begins; {EXPECTED}"
    return (left, top, right, bottom) if left < right and top < bottom else f"{said} is empty; {EXPECTED}"


def parse_box_cells(row: Mapping[str, str], columns: tuple[str, ...], where: str) -> list[list[float]]:
    """The boxes of a row of text, four numbers each as they are written; none where the cells are empty.

    Raises `UserError` for cells that are no numbers.
    """
    cells = [row[name] for name in columns]
    if not any(cells):
        return []
    try:
        held = json.loads(cells[0]) if len(cells) == 1 else cells
        many = held if held and isinstance(held[0], list) else [held]
        boxes = [[float(number) for number in box] for box in many if box]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        boxes = [[]]
    if not all(len(box) == 4 and all(map(math.isfinite, box)) for box in boxes):
        raise UserError(f"{where}: {shown(', '.join(cells))} is no box of four numbers")
    return boxes


def is_xywh(columns: tuple[str, ...], boxes: Iterable[list[float]]) -> bool:
    """Whether the last two of the four numbers are width and height; of lists, whether some cannot be corners."""
    return columns in SIDES or (len(columns) == 1 and any(x2 <= x1 or y2 <= y1 for x1, y1, x2, y2 in boxes))


def is_normalized(boxes: Iterable[Iterable[float]]) -> bool:
    """Whether all numbers are shares of width and height, not pixels."""
    return all(0 <= number <= 1 for box in boxes for number in box)
