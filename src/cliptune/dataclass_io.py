"""Plain values to dataclasses, strictly: no unknown key, nothing rounded, nothing read out of a string."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any, Literal

import cattrs

from cliptune.errors import UserError, shown
from cliptune.registry import nearest


def build_dataclass(cls: type, content: Mapping[str, Any], **ready: Any) -> Any:
    """A dataclass from plain values; fields that are `ready` go in as they are. Raises `UserError` naming a bad key."""
    wanted = field_types(cls)
    for key in content:
        if key not in wanted:
            raise UserError(f"unknown key {shown(key)} for {cls.__name__}; {nearest(key, wanted)}")
    return cls(**{key: _convert(cls, key, value, wanted[key]) for key, value in content.items()}, **ready)


def replace_field(part: Any, key: str, value: Any) -> Any:
    """A dataclass instance with one field in place of its own. Raises `UserError` for a value of the wrong kind."""
    return dataclasses.replace(part, **{key: _convert(type(part), key, value, field_types(type(part))[key])})


def _convert(cls: type, key: str, value: Any, hint: Any) -> Any:
    """`value` as the field's type wants it; nothing is rounded or read out of a string on the way."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build_dataclass(hint, check_mapping(key, value))  # type: ignore[arg-type]
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value} does not fit {cls.__name__}; it takes numbers that are finite")
    if isinstance(value, hint if isinstance(hint, type) else ()) and not (isinstance(value, bool) and hint is not bool):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    if parts and isinstance(value, (list, tuple)):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            return tuple(_convert(cls, key, one, kind) for one, kind in zip(value, kinds, strict=True))
    elif not parts and hint not in (int, float, str, bool) and not dataclasses.is_dataclass(hint):
        try:
            return cattrs.structure(value, hint)
        except Exception:  # whatever it was, the sentence below says it
            pass
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    wanted = f"one of {', '.join(map(repr, choices))}" if choices else getattr(hint, "__name__", str(hint))
    if parts:
        kinds = [getattr(part, "__name__", str(part)) for part in parts if part is not Ellipsis]
        wanted = f"a list of {', '.join(kinds)}"
    raise UserError(f"{key}={shown(value)} does not fit {cls.__name__}; it takes {wanted}")


def check_mapping(what: str, content: Any) -> dict[str, Any]:
    """`content` as a dict of named values. Raises `UserError` for anything else, called `what`."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{what} is written as names and values, not as {shown(content)}")
    return dict(content)


def field_types(cls: type) -> dict[str, Any]:
    """The type of each field of a dataclass."""
    types = typing.get_type_hints(cls)
    return {f.name: types[f.name] for f in dataclasses.fields(cls)}
