"""Reading a split file: which pictures train, validate and test, and what their classes are called."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import read_text
from cliptune.types import Example

SPLITS = ("train", "val", "test")
FIX = "get the published file"


def read_split_file(
    path: Path, images: Path, *, fix: str = FIX, optional: Collection[str] = ()
) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
    """Class names by label, and the examples of each part in the file's order, of a `split_zhou_*.json` file.

    images: the folder against which its paths count. fix: the way out, as sentences about mistakes in the file say it.
    optional: parts that the file need not have. Raises `UserError` for another kind of file, labels that are not
    0, 1, ..., a label of two names, a picture listed twice, or a path that leads out of `images`.
    """
    try:
        content = json.loads(read_text(path))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise _other(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(content, dict):
        raise _other(path, f"it holds a {type(content).__name__}")
    content = {part: [] for part in optional} | content
    lacking = [part for part in SPLITS if not isinstance(content.get(part), list)]
    if lacking:
        raise _other(path, f"no list {' or '.join(lacking)} in it")
    names: dict[int, str] = {}
    parts: dict[str, list[Example]] = {part: [] for part in SPLITS}
    seen: dict[str, str] = {}
    for part in SPLITS:
        for number, item in enumerate(content[part]):
            key, label, name = _item(path, part, number, item, fix)
            if key in seen:
                raise UserError(f"{path} lists {key} twice, in {seen[key]} and in {part}; {fix}")
            seen[key] = part
            if names.setdefault(label, name) != name:
                raise UserError(f"{path} calls label {label} both {names[label]!r} and {name!r}; {fix}")
            parts[part].append(Example(key, label, images / key))
    if not parts["train"]:
        raise UserError(f"{path} lists no training pictures; {fix}")
    if sorted(names) != list(range(len(names))):
        raise UserError(f"the labels of {path} are not 0 to {len(names) - 1}; {fix}")
    return tuple(names[label] for label in range(len(names))), parts


def _item(path: Path, part: str, number: int, item: Any, fix: str) -> tuple[str, int, str]:
    """Path, label and name of one entry."""
    if not isinstance(item, list) or [type(x) for x in item] != [str, int, str] or not item[0] or not item[2].strip():
        raise _other(path, f"{part} entry {number} is {str(item)[:80]}")
    key: str = item[0]
    if key.startswith("/") or ".." in key.split("/") or "\\" in key or key[1:2] == ":":
        raise UserError(
            f"{path}: {part} entry {number} is {key!r}, but paths must stay in the pictures' folder and have / between "
            f"their parts; {fix}"
        )
    return key, item[1], item[2]


def _other(path: Path, reason: str) -> UserError:
    return UserError(f"{path} is not a split file with train, val and test lists of [path, label, name]: {reason}")
