"""Results on disk: one `result.json` a task, read back strictly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cliptune import plain
from cliptune.errors import UserError, shown
from cliptune.files import read_text, write_json
from cliptune.types import Result

NAME = "result.json"
#: Bytes of a record at most.
LARGEST = 64 << 20


def save(result: Result, folder: Path) -> Path:
    """Write `folder/result.json`, whole or not at all: sorted keys, every digit. Returns its path."""
    path = Path(folder) / NAME
    write_json(path, {f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)})
    return path


def load(path: Path) -> Result:
    """The result in a file that `save` wrote. Raises `UserError` naming a file that is damaged or of another kind."""
    path = Path(path)
    text = read_text(path, LARGEST)
    try:
        content = plain.from_json(text)
    except ValueError as error:
        raise UserError(f"{path} is not JSON that cliptune reads ({error}): remove it, run its task again") from None
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


def fault_of(result: Result) -> str | None:
    """What would keep `load` from reading a result that was saved, in words, or None."""
    return _fault({f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)})


def _plain(value: Any) -> Any:
    """What JSON knows: dicts and lists instead of other mappings and tuples."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def is_number(value: Any) -> bool:
    """Whether it is a number, which may be NaN: losses of a step that never came are."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether it is a number and finite."""
    return is_number(value) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether it is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def by_name(of: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], bool]:
    """A test for values by name that are all `of` a kind."""
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


def _is_row(value: Any) -> bool:
    return by_name(is_number)(value) and is_finite(value.get("epoch", 0))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: Field -> what its value must be, in words, and the test of it.
FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("text", _is_text),
    "method": ("text", lambda v: _is_text(v) and v != ""),
    "data": ("text", _is_text),
    "seed": ("a whole number of at least 0", is_count),
    "metrics": ("finite numbers by name", by_name(is_finite)),
    "config": ("values by name", by_name()),
    "cost": ("numbers of at least 0 by name", by_name(lambda v: is_finite(v) and v >= 0)),
    "history": ("a list of numbers by name", lambda v: isinstance(v, list) and all(map(_is_row, v))),
    "provenance": ("values by name", by_name()),
}
#: The same of what tables and pages look up in `config` and `provenance`, where it is said.
PARTS: Mapping[tuple[str, str], tuple[str, Callable[[Any], bool]]] = {
    ("config", "shots"): ("a whole number of at least 0", is_count),
    ("config", "fraction"): ("a number above 0, at most 1", lambda v: is_finite(v) and 0 < v <= 1),
    ("config", "method"): ("values by name", by_name()),
    ("config", "training"): ("values by name", by_name()),
    ("config", "released"): ("text by name", by_name(_is_text)),
    **{("config", key): ("text", _is_text) for key in ("protocol", "selector", "backbone", "pretrained")},
    ("provenance", "test_images"): ("numbers of images by name", by_name(is_count)),
    ("provenance", "versions"): ("text by name", by_name(_is_text)),
    ("provenance", "imported_from"): ("text by name", by_name(_is_text)),
    ("provenance", "trained"): ("values by name", by_name()),
    ("provenance", "backbone"): ("text", _is_text),
}


def _fault(content: Any) -> str | None:
    """What keeps `content` from being a result, in words, or None."""
    if not isinstance(content, dict):
        return "it holds no record"
    for key in sorted(content.keys() - FIELDS.keys()):
        return f"unknown key {shown(key)}"
    for f in dataclasses.fields(Result):
        if f.name in content:
            words, holds = FIELDS[f.name]
            if not holds(content[f.name]):
                return f"{f.name!r} must be {words}"
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            return f"key {f.name!r} is missing"
    for (field, key), (words, holds) in PARTS.items():
        if key in content.get(field, {}) and not holds(content[field][key]):
            return f"{key!r} in {field!r} must be {words}, got {shown(content[field][key])}"
    return None
