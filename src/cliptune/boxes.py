"""Parse boxes from tables and annotations: xyxy or xywh columns, or a list; in pixels or normalized."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cliptune.errors import UserError, shown

#: Left, top, right, bottom.
Box = tuple[float, float, float, float]

#: Lower-case names of columns and keys: left, top, right, bottom; or left, top, width, height.
CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
SIDES = (("x", "y", "w", "h"), ("x", "y", "width", "height"))
#: Names of columns and keys with all four numbers, or with several boxes.
LISTS = ("bbox", "bboxes", "box", "boxes")
EXPECTED = "boxes are left,top,right,bottom in pixels, or all of them in [0, 1]"


def find_box_columns(names: Collection[str]) -> tuple[str, ...]:
    """Those of `names` that contain boxes; () if there are none."""
    four = next((group for group in (*CORNERS, *SIDES) if set(group) <= set(names)), ())
    return four or next(((name,) for name in LISTS if name in names), ())


def parse_box(numbers: Any, where: str, sides: bool = False) -> Box | str:
    """Parse left, top, right, bottom (`sides`: x, y, width, height), or return what is wrong with them; `where` says
    where they are."""
    try:
        left, top, right, bottom = (float(x) for x in numbers)
    except (TypeError, ValueError, OverflowError):
        named = " of x, y, width and height" if sides else ""
        return f"{where}: {shown(numbers)} is not a box{named}; {EXPECTED}"
    right, bottom = (left + right, top + bottom) if sides else (right, bottom)
    subject = f"{where}: the box {left:g},{top:g},{right:g},{bottom:g}"
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return f"{subject} has sides that are not finite numbers; {EXPECTED}"
    if left > right or top > bottom:
        return f"{subject} ends before it begins; {EXPECTED}"
    return (left, top, right, bottom) if left < right and top < bottom else f"{subject} is empty; {EXPECTED}"


def parse_box_cells(row: Mapping[str, str], columns: tuple[str, ...], where: str) -> list[list[float]]:
    """The boxes in a row of text, four numbers each as written; none if the cells are empty.

    Raises:
        UserError: If the cells are not four numbers.
    """
    cells = [row[name] for name in columns]
    if not any(cells):
        return []
    try:
        values = json.loads(cells[0]) if len(cells) == 1 else cells
        many = values if values and isinstance(values[0], list) else [values]
        boxes = [[float(number) for number in box] for box in many if box]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        boxes = [[]]
    if not all(len(box) == 4 and all(map(math.isfinite, box)) for box in boxes):
        raise UserError(f"{where}: {shown(', '.join(cells))} is not a box of four numbers")
    return boxes


def is_xywh(columns: tuple[str, ...], boxes: Iterable[list[float]]) -> bool:
    """Whether the last two of the four numbers are width and height; for lists, if some cannot be xyxy."""
    return columns in SIDES or (len(columns) == 1 and any(x2 <= x1 or y2 <= y1 for x1, y1, x2, y2 in boxes))


def is_normalized(boxes: Iterable[Iterable[float]]) -> bool:
    """Whether all numbers are fractions of width and height, not pixels."""
    return all(0 <= number <= 1 for box in boxes for number in box)
