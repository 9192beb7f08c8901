"""Split files: the images of each split, with their labels and class names."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.types import Example

SPLITS = ("train", "val", "test")


def read_split_file(
    path: Path, images: Path, *, fix: str = "get the published file", optional: Collection[str] = ()
) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
    """Read class names by label, and the examples of each split in order, from a `split_zhou_*.json` file.

    Args:
        path: The split file.
        images: The folder that its paths are relative to.
        fix: How to fix the file, for error messages.
        optional: Splits that may be absent, or empty in the case of train.

    Raises:
        UserError: If the file is not a split file, labels are not 0, 1, ..., a label has two names, an image is listed
            twice, or a path leads out of `images`.
    """
    content = _read_json(path)
    content = {split: [] for split in optional} | content
    missing = [split for split in SPLITS if not isinstance(content.get(split), list)]
    if missing:
        raise _format_error(path, f"no list {' or '.join(missing)} in it")
    names: dict[int, str] = {}
    splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
    seen: dict[str, str] = {}
    for split in SPLITS:
        for number, item in enumerate(content[split]):
            key, label, name = _parse_entry(path, split, number, item, fix)
            if key in seen:
                raise UserError(f"{path} lists {key} twice, in {seen[key]} and in {split}; {fix}")
            seen[key] = split
            if names.setdefault(label, name) != name:
                raise UserError(f"{path} gives label {label} two names, {names[label]!r} and {name!r}; {fix}")
            splits[split].append(Example(key, label, images / key))
    if not splits["train"] and "train" not in optional:
        raise UserError(f"{path} lists no training images; {fix}")
    if sorted(names) != list(range(len(names))):
        raise UserError(f"the labels of {path} are not 0 to {len(names) - 1}; {fix}")
    return tuple(names[label] for label in range(len(names))), splits


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise _format_error(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(content, dict):
        raise _format_error(path, f"it contains a {type(content).__name__}")
    return content


def _parse_entry(path: Path, split: str, number: int, item: Any, fix: str) -> tuple[str, int, str]:
    """Path, label and class name of an entry."""
    if not isinstance(item, list) or [type(x) for x in item] != [str, int, str] or not item[0] or not item[2].strip():
        raise _format_error(path, f"{split} entry {number} is {str(item)[:80]}")
    key: str = item[0]
    if key.startswith("/") or ".." in key.split("/") or "\\" in key or key[1:2] == ":":
        raise UserError(
            f"{path}: {split} entry {number} is {key!r}, but paths must be relative to the image folder, inside it and "
            f"separated by /; {fix}"
        )
    return key, item[1], item[2]


def _format_error(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is not a split file with train, val and test lists of [path, label, name]: {reason}")
