"""Read the boxes of images from CSV, JSON or XML."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from cliptune import plain_values
from cliptune.boxes import CORNERS, SIDES, Box, is_normalized, parse_box
from cliptune.errors import UserError, shown
from cliptune.files import read_bytes, read_text

#: The name of an image, and a box or the error message about it.
ParsedRow = tuple[str, Box | str]

#: Lower-case names of columns and keys that hold the image's path.
IMAGE_COLUMNS = ("path", "filename", "file_name", "file", "image", "picture", "image_path", "filepath", "key")


@dataclass(frozen=True)
class BoxTable:
    """Boxes by image. An image is found by its relative path, the end of it, or its name without suffix.

    Args:
        boxes: Boxes (left, top, right, bottom) by image.
        normalized: Boxes are fractions of width and height. Otherwise they are in pixels.
        invalid: The message about the first invalid box, by image.
    """

    boxes: dict[str, tuple[Box, ...]]
    normalized: bool
    invalid: dict[str, str] = field(default_factory=dict)

    def boxes_of(self, key: str) -> tuple[Box, ...]:
        """The valid boxes of an image, possibly none."""
        return next((self.boxes[name] for name in _lookup_keys(key) if name in self.boxes), ())

    def problem(self, key: str) -> str:
        """The message about an invalid box of an image, or ""."""
        return next((self.invalid[name] for name in _lookup_keys(key) if name in self.invalid), "")


def _lookup_keys(key: str) -> list[str]:
    path = PurePosixPath(key)
    ends = [PurePosixPath(*path.parts[i:]) for i in range(len(path.parts))]
    return [name for end in ends for name in (end.as_posix(), end.with_suffix("").as_posix())]


def read_boxes(path: Path) -> BoxTable:
    """Read a CSV, JSON or XML file, or a folder of XML annotations (Pascal VOC, Oxford Pets).

    CSV: a column with the image's path and four columns xmin,ymin,xmax,ymax (x1,y1,x2,y2; left,top,right,bottom) or
    x,y,w,h; one row per box. JSON: `{"cat/1.jpg": [[left, top, right, bottom], ...]}`, a list of records with those
    columns or with `boxes`, or `images` and `annotations` as in COCO. An invalid box is a problem of its image alone.

    Raises `UserError` if the file cannot be parsed or contains no valid box.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.xml"))
        if not files:
            raise UserError(f"no XML annotations in {path}; box: takes a folder of them, or a CSV or JSON file")
        alone = Counter(file.stem for file in files)
        names = {f: f.relative_to(path).with_suffix("") if alone[f.stem] > 1 else Path(f.stem) for f in files}
        found = [row for file in files for row in _parse_xml(file, names[file])]
    elif not path.is_file():
        raise UserError(f"no boxes at {path}; check the path after box:")
    else:
        readers = {".csv": _parse_csv, ".json": _parse_json, ".xml": lambda file: _parse_xml(file, Path(file.stem))}
        if path.suffix.lower() not in readers:
            raise UserError(f"boxes are read from .csv, .json or .xml, not from {path}")
        try:
            found = list(readers[path.suffix.lower()](path))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"boxes cannot be read from {path} ({type(error).__name__}: {error})") from None
    if not found:
        raise UserError(f"{path} contains no boxes")
    valid, invalid = dict[str, tuple[Box, ...]](), dict[str, str]()
    for name, box in found:
        if isinstance(box, str):
            invalid.setdefault(name, box)
        else:
            valid[name] = (*valid.get(name, ()), box)
    if not valid:
        raise UserError(f"{next(iter(invalid.values()))}; {path} contains no valid box")
    return BoxTable(valid, is_normalized(box for boxes in valid.values() for box in boxes), invalid)


def _parse_record(row: dict[Any, Any], where: str) -> Iterator[ParsedRow]:
    """The image's name with its box, or with each of several `boxes`."""
    row = {str(name).strip().lower(): value for name, value in row.items() if name is not None}
    image = next((row[name] for name in IMAGE_COLUMNS if row.get(name)), None)
    if image is None:
        raise UserError(f"{where}: no image is named; call the column path")
    for name in ("boxes", "box"):
        if name in row:
            for box in row[name] if name == "boxes" and isinstance(row[name], list) else [row[name]]:
                yield _image_name(image), parse_box(box, where)
            return
    for names in CORNERS:
        if set(names) <= row.keys():
            yield _image_name(image), parse_box([row[name] for name in names], where)
            return
    for names in SIDES:
        if set(names) <= row.keys():
            yield _image_name(image), parse_box([row[name] for name in names], where, sides=True)
            return
    raise UserError(f"{where}: no box; name the columns xmin,ymin,xmax,ymax, or x,y,w,h")


def _parse_csv(path: Path) -> Iterator[ParsedRow]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield from _parse_record(row, f"{path} line {rows.line_num}")


def _parse_json(path: Path) -> Iterator[ParsedRow]:
    try:
        content = plain_values.check_plain(json.loads(read_text(path)))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} line {error.lineno}: not JSON ({error.msg})") from None
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise error if isinstance(error, UserError) else UserError(f"{path} contains no boxes: {reason}") from None
    if isinstance(content, dict) and "annotations" in content:
        yield from _parse_coco(content, path)
    elif isinstance(content, dict):
        for name, boxes in content.items():
            one = isinstance(boxes, list) and len(boxes) == 4 and not any(isinstance(x, list) for x in boxes)
            for box in [boxes] if one or not isinstance(boxes, list) else boxes:
                yield _image_name(name), parse_box(box, f"{path}, {name}")
    elif isinstance(content, list):
        for i, row in enumerate(content, 1):
            if not isinstance(row, dict):
                raise UserError(f"{path}, entry {i}: {shown(row)} is not a record with an image and its box")
            yield from _parse_record(row, f"{path}, entry {i}")
    else:
        raise UserError(f"{path} contains neither images with boxes nor a list of records")


def _parse_coco(content: dict[str, Any], path: Path) -> Iterator[ParsedRow]:
    try:
        names = {image["id"]: image["file_name"] for image in content["images"]}
        for i, entry in enumerate(content["annotations"], 1):
            where = f"{path}, annotation {i}"
            yield _image_name(names[entry["image_id"]]), parse_box(entry["bbox"], where, sides=True)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} has no {error} in its images or annotations (COCO)") from None


def _parse_xml(path: Path, name: Path) -> Iterator[ParsedRow]:
    """Boxes of an annotation file. The image is named by the file itself, as its `<filename>` is often wrong."""
    try:
        root = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise UserError(f"annotation {path} cannot be read: {error}") from None
    for i, box in enumerate(root.iter("bndbox"), 1):
        yield name.as_posix(), parse_box([box.findtext(side) for side in CORNERS[0]], f"{path}, object {i}")


def _image_name(value: Any) -> str:
    """A path in the form of example keys."""
    return PurePosixPath(str(value).strip().replace("\\", "/")).as_posix()
