"""Tables of images as CSV files."""

from __future__ import annotations

from pathlib import Path

PARTS = ("train", "val", "test")


def write(folder: Path, header, rows, delimiter=",", name="list.csv", encoding="utf-8") -> Path:
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path = folder / name
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def plain(paths):
    """A row of path and label per image; the label is the name of its folder."""
    return [(path, path.split("/")[1]) for path in paths]


def counts(dataset):
    return [len(dataset.examples(part)) for part in PARTS]
