"""Results on disk: one `result.json` per run, validated on reading."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cliptune import plain_values
from cliptune.errors import UserError, shown
from cliptune.files import read_text, write_json
from cliptune.types import Result

RESULT_FILE = "result.json"
#: Maximum size of a record.
MAX_RECORD_BYTES = 64 << 20


def save_result(result: Result, folder: Path) -> Path:
    """Write `folder/result.json` atomically, with sorted keys and at full precision. Returns its path."""
    path = Path(folder) / RESULT_FILE
    write_json(path, {f.name: _to_json(getattr(result, f.name)) for f in dataclasses.fields(result)})
    return path


def load_result(path: Path) -> Result:
    """Read a result written by `save_result`. Raises `UserError` if the file is damaged or of another kind."""
    path = Path(path)
    text = read_text(path, MAX_RECORD_BYTES)
    try:
        content = plain_values.from_json(text)
    except ValueError as error:
        raise UserError(f"{path} is not JSON that cliptune reads ({error}): remove it and run its task again") from None
    fault = _content_error(content)
    if fault:
        raise UserError(f"{path} is not a cliptune result: {fault}; move it elsewhere or remove it")
    content["history"] = tuple(content.get("history", ()))
    return Result(**content)


def load_results(root: str | Path) -> list[Result]:
    """Read all results under `root` (a folder or one file), sorted by data, method, seed and task.

    If no file is named result.json, the .json files directly in `root` are read. Raises `UserError` if there is none.
    """
    root = Path(root)
    paths = [root] if root.is_file() else sorted(root.rglob(RESULT_FILE)) or sorted(root.glob("*.json"))
    if not paths:
        raise UserError(
            f"no {RESULT_FILE} under {root}: train something first, or give the folder that was passed to --out"
        )
    return sorted((load_result(path) for path in paths), key=lambda r: (r.data, r.method, r.seed, r.task))


def validation_error(result: Result) -> str | None:
    """Describe why `load_result` would reject `result`; None if it is valid."""
    return _content_error({f.name: _to_json(getattr(result, f.name)) for f in dataclasses.fields(result)})


def _to_json(value: Any) -> Any:
    """Convert mappings to dicts and sequences to lists."""
    if isinstance(value, Mapping):
        return {str(k): _to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(v) for v in value]
    return value


def is_number(value: Any) -> bool:
    """Whether `value` is a number, possibly NaN (the losses of an epoch without steps)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return is_number(value) and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether `value` is an integer of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_mapping_of(of: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], bool]:
    """A check for dicts whose values all pass `of`."""
    return lambda value: isinstance(value, dict) and all(map(of, value.values()))


def _is_history_row(value: Any) -> bool:
    return is_mapping_of(is_number)(value) and is_finite(value.get("epoch", 0))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: Field -> description and check of its value.
FIELD_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("text", _is_text),
    "method": ("text", lambda v: _is_text(v) and v != ""),
    "data": ("text", _is_text),
    "seed": ("a whole number of at least 0", is_count),
    "metrics": ("finite numbers by name", is_mapping_of(is_finite)),
    "config": ("values by name", is_mapping_of()),
    "cost": ("numbers of at least 0 by name", is_mapping_of(lambda v: is_finite(v) and v >= 0)),
    "history": ("a list of numbers by name", lambda v: isinstance(v, list) and all(map(_is_history_row, v))),
    "provenance": ("values by name", is_mapping_of()),
}
#: The same for optional entries of `config` and `provenance` that tables and reports use.
NESTED_CHECKS: Mapping[tuple[str, str], tuple[str, Callable[[Any], bool]]] = {
    ("config", "shots"): ("a whole number of at least 0", is_count),
    ("config", "fraction"): ("a number above 0, at most 1", lambda v: is_finite(v) and 0 < v <= 1),
    ("config", "method"): ("values by name", is_mapping_of()),
    ("config", "training"): ("values by name", is_mapping_of()),
    ("config", "released"): ("text by name", is_mapping_of(_is_text)),
    **{("config", key): ("text", _is_text) for key in ("protocol", "selector", "backbone", "pretrained")},
    ("provenance", "test_images"): ("numbers of images by name", is_mapping_of(is_count)),
    ("provenance", "versions"): ("text by name", is_mapping_of(_is_text)),
    ("provenance", "imported_from"): ("text by name", is_mapping_of(_is_text)),
    ("provenance", "trained"): ("values by name", is_mapping_of()),
    ("provenance", "backbone"): ("text", _is_text),
}


def _content_error(content: Any) -> str | None:
    """Describe why `content` is not a result; None if it is."""
    if not isinstance(content, dict):
        return "it contains no record"
    for key in sorted(content.keys() - FIELD_CHECKS.keys()):
        return f"unknown key {shown(key)}"
    for f in dataclasses.fields(Result):
        if f.name in content:
            words, check = FIELD_CHECKS[f.name]
            if not check(content[f.name]):
                return f"{f.name!r} must be {words}"
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            return f"key {f.name!r} is missing"
    for (field, key), (words, check) in NESTED_CHECKS.items():
        if key in content.get(field, {}) and not check(content[field][key]):
            return f"{key!r} in {field!r} must be {words}, got {shown(content[field][key])}"
    return None
