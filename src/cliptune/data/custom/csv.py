"""The user's own images in a table: one line per image with path, label, and optionally split and mask."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from cliptune.data.config import DataConfig
from cliptune.data.custom.common.box_columns import read_box_columns
from cliptune.data.custom.common.build import SPLIT_NAMES, CustomDataset, LabeledExamples, build_splits, split_named
from cliptune.data.custom.common.multi_label import Splitter, label_splitter
from cliptune.data.custom.common.table import TextTable, line_numbers, read_table
from cliptune.data.exists import missing_files
from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.text import listed
from cliptune.types import Example
from cliptune.user_warnings import warn_user

#: Common column names, likeliest first; case and punctuation are ignored.
IMAGE = (
    *("path", "filepath", "imagepath", "imgpath", "relativepath", "relpath", "impath"),
    *("file", "filename", "imagefile", "imagefilename", "imagename", "image", "img", "picture", "photo", "imageid"),
)
LABEL = ("label", "class", "category", "target", "classlabel", "labelid", "classid", "categoryid")
NAME = ("classname", "labelname", "categoryname", "targetname", "name", "labeltext", "class", "category", "label")
SPLIT = ("split", "subset", "set", "fold", "partition", "part", "phase")
MASK = ("mask", "maskpath", "maskfile", "maskfilename", "segmentation")
#: A file next to the table with the names of classes 0, 1, ..., one per line.
CLASSES = "classes.txt"


class Csv(CustomDataset):
    """Images listed in a table; relative paths start from its folder, or from `DataConfig.root`.

    Without a split column, each class is split like a folder dataset, whatever the order of the lines. Labels that are
    all integers keep their order; their names come from a column of names or from `classes.txt` next to the table.
    Several labels in one cell make the data multi-label (see `multi_label.label_splitter`), and so do several lines per
    image with one box each. The boxes of an image are its foreground.

    Raises:
        UserError: If the table, its columns or its labels are invalid, or images are missing.
    """

    def __init__(self, file: str | Path, config: DataConfig | None = None):
        config = config or DataConfig()
        self.file = Path(file).expanduser()
        if not self.file.is_file():
            raise UserError(_not_a_file_message(self.file))
        self.name = self.file.stem
        self.root = Path(config.root).expanduser() if config.root else self.file.parent
        table = read_table(self.file)
        image = _require_column(
            table, table.column(IMAGE, config.image_column), "image paths", "path", "--image-column"
        )
        label = _require_column(
            table, table.column(LABEL + NAME, config.label_column), "labels", "label", "--label-column"
        )
        if not table.rows:
            raise UserError(f"{self.file} has a header, but no lines below it; add one line per image")
        self._boxes = read_box_columns(table, image, _key)
        every, table, shown = table, *self._one_row_per_image(table, image, label)
        table = self._drop_missing(table, image, config.skip_bad)
        keys = [_key(row[image]) for _, row in table.rows]
        cells = [cell for key in keys for cell in shown[key]] if self._boxes else [row[label] for _, row in table.rows]
        split = label_splitter(cells, str(self.file), config.label_separator) or _single_label
        labels = {value for cell in cells for value in split(cell)}
        whole = all(re.fullmatch(r"[+-]?\d+", value) for value in labels)
        classes = sorted(labels, key=int) if whole else sorted(labels)
        names = table.column([name for name in NAME if table.column([name]) not in (image, label)])
        titles = _numbered_names(every, label, names, classes, split) if whole else None
        self.classnames, self._splits = build_splits(
            self._group_by_split(table, image, {key: _distinct_labels(shown[key], split) for key in keys}),
            str(self.file),
            classes=classes,
            titles=titles,
            raw_names=config.raw_names,
            hint=f"a column of names, or a {CLASSES} next to the file with one name per line, would provide names",
        )

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Csv:
        if not argument:
            raise UserError("csv needs a file: --data csv:FILE")
        return cls(argument, config)

    def _one_row_per_image(self, table: TextTable, image: int, label: int) -> tuple[TextTable, dict[str, list[str]]]:
        """The table with one line per image, and the label cells of each image by its key.

        Repeated lines are left out with a warning. If lines have boxes, those of one image may differ in box and label.

        Raises:
            UserError: If a field is empty, or lines contradict each other.
        """
        empty = [line for line, row in table.rows if not row[image] or not row[label]]
        if empty:
            raise UserError(
                f"no path or no label in {line_numbers(empty)} of {self.file}; fill it in or remove the line"
            )
        seen: dict[str, tuple[int, tuple[str, ...]]] = {}
        shown: dict[str, list[str]] = {}
        same = [place for place in range(len(table.header)) if place != image]
        if self._boxes:  # each line is an object
            same = [place for place in (table.column(SPLIT), table.column(MASK)) if place is not None]
        for line, row in table.rows:
            key = _key(row[image])
            first, other = seen.setdefault(key, (line, row))
            shown.setdefault(key, []).append(row[label])
            if any(other[place] != row[place] for place in same):
                raise UserError(
                    f"{line_numbers([first, line])} of {self.file} both list {row[image]}, "
                    "and differ; list each image once"
                )
        if len(seen) < len(table.rows) and not self._boxes:
            warn_user(f"{len(table.rows) - len(seen)} lines of {self.file} repeat others; ignored")
        return TextTable(table.path, table.header, tuple(seen.values())), shown

    def _drop_missing(self, table: TextTable, image: int, skip: bool) -> TextTable:
        """The table without missing images if they may be skipped; otherwise raises `UserError` for them."""
        folders: dict[str, list[str]] = {}  # strings, as a table may have a million lines
        keys = [_key(row[image]) for _, row in table.rows]
        for key in keys:
            name = key.rpartition("/")[2]
            folders.setdefault(key.removesuffix(name), []).append(name)
        missing = {
            folder + name for folder, names in folders.items() for name in missing_files(self.root / folder, names)
        }
        if not missing:
            return table
        missing_rows = [(line, row[image]) for (line, row), key in zip(table.rows, keys, strict=True) if key in missing]
        shown = listed((f"{name} (line {line})" for line, name in missing_rows), 3)
        message = f"{len(missing_rows)} of {len(keys)} images of {self.file} do not exist: {shown}"
        if skip:
            warn_user(f"{message}; ignored")
            present = [row for row, key in zip(table.rows, keys, strict=True) if key not in missing]
            return TextTable(table.path, table.header, tuple(present))
        hint = "" if Path(missing_rows[0][1]).suffix.lower() in IMAGE_SUFFIXES else ", with their suffixes"
        raise UserError(
            f"{message}; paths are relative to {self.root}{hint} (another folder: --root; skip them: --skip-bad)"
        )

    def _group_by_split(
        self, table: TextTable, image: int, labels: Mapping[str, tuple[str, ...]]
    ) -> Mapping[str, LabeledExamples]:
        """Examples by split, sorted by path like those of a folder dataset."""
        split, mask = table.column(SPLIT), table.column(MASK)
        found: dict[str, list[tuple[str | tuple[str, ...], Example]]] = {part: [] for part in SPLIT_NAMES}
        part_of = {row[split]: split_named(row[split]) for _, row in table.rows} if split is not None else {}
        keyed = [(_key(row[image]), line, row) for line, row in table.rows]
        for key, line, row in sorted(keyed, key=lambda numbered: _parts(numbered[0])):
            part = "train" if split is None else part_of[row[split]]
            if part is None:
                raise UserError(
                    f"{table.header[split or 0]} {row[split or 0]!r} in line {line} of {self.file} is none of train, "
                    f"val, test"
                )
            masked = self.root / _key(row[mask]) if mask is not None and row[mask] else None
            if not labels[key]:
                raise UserError(f"no label in {line_numbers([line])} of {self.file}; fill it in or remove the line")
            boxes, shares = (self._boxes.by_key.get(key, ()), self._boxes.shares) if self._boxes else ((), False)
            example = Example(key, -1, self.root / key, masked, boxes=boxes, shares=shares)
            found[part].append((labels[key], example))
        if not found["train"] and not found["test"]:
            raise UserError(
                f"{self.file} lists validation images only; no line has train or test in the column "
                f"{table.header[split or 0]}"
            )
        return {part: rows for part, rows in found.items() if rows or part == "train"}


def _not_a_file_message(file: Path) -> str:
    if file.is_dir():
        return f"{file} is a folder, not a table; folders of classes are read by folder:{file}"
    return f"no file at {file}; check the path after csv:"


def _require_column(table: TextTable, column: int | None, what: str, name: str, flag: str) -> int:
    if column is not None:
        return column
    if any(Path(title).suffix.lower() in IMAGE_SUFFIXES for title in table.header):
        raise UserError(f"{table.path} has no header line; begin it with one such as path,label")
    raise UserError(
        f"which column of {table.path} contains the {what}? It has {', '.join(table.header)}; rename one to {name}, or "
        f"set {flag}"
    )


def _key(path: str) -> str:
    """A path as written, normalized, with / as separator."""
    return posixpath.normpath(path.replace("\\", "/"))


def _parts(key: str) -> tuple[str, ...]:
    """`PurePosixPath(key).parts`, in a tenth of the time for a relative path."""
    return PurePosixPath(key).parts if key[0] in "./" else tuple(key.split("/"))


def _single_label(cell: str) -> tuple[str, ...]:
    """One label per cell."""
    return (cell,)


def _distinct_labels(cells: Sequence[str], split: Splitter) -> tuple[str, ...]:
    """All distinct labels in some cells."""
    return tuple(dict.fromkeys(label for cell in cells for label in split(cell)))


def _numbered_names(
    table: TextTable, label: int, names: int | None, classes: list[str], split: Splitter
) -> dict[str, str]:
    """The names of numbered classes. Raises `UserError` for a class with two names, or with none."""
    if names is not None:
        titles: dict[str, str] = {}
        for line, row in table.rows:
            labels, named = split(row[label]), split(row[names]) if len(split(row[label])) > 1 else (row[names],)
            if len(labels) != len(named):
                raise UserError(
                    f"line {line} of {table.path} has {len(labels)} labels ({row[label]}), but {len(named)} names "
                    f"({row[names]}); give each label a name"
                )
            for value, name in zip(labels, named, strict=True):
                if titles.setdefault(value, name) != name or not name:
                    conflict = f"{titles[value]!r} before and {name!r} in line {line}"
                    raise UserError(f"{table.path} calls class {value} {conflict}; give each class one name")
        return titles
    file = table.path.parent / CLASSES
    if not file.is_file():
        return {value: str(int(value)) for value in classes}
    listed_names = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    outside = [value for value in classes if not 0 <= int(value) < len(listed_names)]
    if outside:
        raise UserError(
            f"{file} names classes 0 to {len(listed_names) - 1}, but {table.path} has class {outside[0]}; add its "
            f"line, or count from 0"
        )
    return {value: listed_names[int(value)] for value in classes}
