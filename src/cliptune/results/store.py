"""Results on disk: one `result.json` a task, read back strictly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import write_json
from cliptune.types import Result

NAME = "result.json"


def save(result: Result, folder: Path) -> Path:
    """Write `folder/result.json`, whole or not at all: sorted keys, every digit. Returns its path."""
    path = Path(folder) / NAME
    write_json(path, {f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)})
    return path


def load(path: Path) -> Result:
    """The result in a file that `save` wrote. Raises `UserError` naming a file that is damaged or of another kind."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {(error.strerror or type(error).__name__).lower()}") from None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is not JSON: remove it and run its task again") from None
    fault = _fault(content)
    if fault:
        raise UserError(f"{path} is not a cliptune result: {fault}; move it elsewhere or remove it")
    content["history"] = tuple(content.get("history", ()))
    return Result(**content)


def load_all(root: Path) -> list[Result]:
    """Every result under `root`, or the one it names, by data, method, seed and task. Raises `UserError` if none is.

    Where no file is called result.json, those that end in .json directly in `root` are the records: kept copies.
    """
    root = Path(root)
    paths = [root] if root.is_file() else sorted(root.rglob(NAME)) or sorted(root.glob("*.json"))
    if not paths:
        raise UserError(f"no {NAME} under {root}: train something first, or name the folder that --out named")
    return sorted((load(path) for path in paths), key=lambda r: (r.data, r.method, r.seed, r.task))


def _plain(value: Any) -> Any:
    """What JSON knows: dicts and lists instead of other mappings and tuples."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_number(v) for v in value.values())


#: Field -> what its value must be, in words, and the test of it.
FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("text", lambda v: isinstance(v, str)),
    "method": ("text", lambda v: isinstance(v, str) and v != ""),
    "data": ("text", lambda v: isinstance(v, str)),
    "seed": ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "metrics": ("numbers by name", _is_numbers),
    "config": ("values by name", lambda v: isinstance(v, dict)),
    "cost": ("numbers by name", _is_numbers),
    "history": ("a list of numbers by name", lambda v: isinstance(v, list) and all(map(_is_numbers, v))),
    "provenance": ("values by name", lambda v: isinstance(v, dict)),
}


def _fault(content: Any) -> str | None:
    """What keeps `content` from being a result, in words, or None."""
    if not isinstance(content, dict):
        return "it holds no record"
    for key in sorted(content.keys() - FIELDS.keys()):
        return f"unknown key {key!r}"
    for f in dataclasses.fields(Result):
        if f.name in content:
            words, holds = FIELDS[f.name]
            if not holds(content[f.name]):
                return f"{f.name!r} must be {words}"
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            return f"key {f.name!r} is missing"
    return None
