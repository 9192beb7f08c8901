"""Box columns of an image table, in which each row may be one object of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cliptune import boxes
from cliptune.boxes import Box
from cliptune.data.custom.common.table import TextTable
from cliptune.user_warnings import warn_user


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of each image by its key: (left, top, right, bottom) in pixels or, if `shares`, as fractions of width
    and height."""

    by_key: dict[str, tuple[Box, ...]]
    shares: bool


def read_box_columns(table: TextTable, image: int, key: Callable[[str], str]) -> ImageBoxes | None:
    """Read the boxes of a table's images; None if it has no box columns.

    Empty boxes are left out with a warning. Another warning says how a column of four numbers is interpreted.

    Args:
        table: The table.
        image: Index of the column of paths.
        key: Returns the key of a path.

    Raises:
        UserError: If a cell does not contain numbers.
    """
    titles = {title.lower().replace(" ", "").replace("_", ""): place for place, title in enumerate(table.header)}
    columns = boxes.find_box_columns([title for title, place in titles.items() if place != image])
    if not columns:
        return None
    found: list[tuple[int, str, list[float]]] = []
    for line, row in table.rows:
        cells = {name: row[titles[name]] for name in columns}
        numbers = boxes.parse_box_cells(cells, columns, f"line {line} of {table.path}")
        found += [(line, key(row[image]), four) for four in numbers]
    sides = boxes.is_xywh(columns, [four for *_, four in found])
    corners = [(line, name, [x, y, x + w, y + h] if sides else [x, y, w, h]) for line, name, (x, y, w, h) in found]
    by_key: dict[str, tuple[Box, ...]] = {}
    empty = []
    for line, name, (left, top, right, bottom) in corners:
        if left < right and top < bottom:
            by_key[name] = (*by_key.get(name, ()), (left, top, right, bottom))
        else:
            empty.append(line)
    if empty:
        warn_user(f"{len(empty)} boxes of {table.path} are empty, the first in line {empty[0]}; ignored")
    if len(columns) == 1 and by_key:
        meanings = "left, top, width, height", "left, top, right, bottom"
        how, meaning = meanings if sides else meanings[::-1]
        other = "xmin,ymin,xmax,ymax" if sides else "x,y,w,h"
        warn_user(f"the column {columns[0]} of {table.path} is read as {how}; for {meaning}, use the columns {other}")
    return ImageBoxes(by_key, boxes.is_normalized(box for group in by_key.values() for box in group))
