"""Convert dataclasses to plain values and back: no unknown keys, no rounding, no numbers read from strings."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union

from cliptune.errors import UserError, shown
from cliptune.registry import nearest


def to_plain(value: Any) -> Any:
    """A dataclass as a dict and a tuple as a list, recursively; other values unchanged."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: to_plain(one) for key, one in value.items()}
    return [to_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def build_dataclass(cls: type, content: Mapping[str, Any], **ready: Any) -> Any:
    """Build a dataclass from plain values. ready: fields to pass on unchecked.

    Raises `UserError` that names an unknown key (with the nearest ones) or a value of the wrong type.
    """
    types = field_types(cls)
    for key in content:
        if key not in types:
            raise UserError(f"unknown key {shown(key)} for {cls.__name__}; {nearest(key, types)}")
    return cls(**{key: _convert(cls, key, value, types[key]) for key, value in content.items()}, **ready)


def replace_field(part: Any, key: str, value: Any) -> Any:
    """A copy of a dataclass instance with one field replaced. Raises `UserError` for a value of the wrong type."""
    return dataclasses.replace(part, **{key: _convert(type(part), key, value, field_types(type(part))[key])})


def check_mapping(what: str, content: Any) -> dict[str, Any]:
    """`content` as a dict with string keys. Raises `UserError` for anything else, which it calls `what`."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{what} must be a mapping of names to values, got {shown(content)}")
    return dict(content)


def field_types(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields by name."""
    types = typing.get_type_hints(cls)
    return {field.name: types[field.name] for field in dataclasses.fields(cls)}


def _convert(cls: type, key: str, value: Any, hint: Any) -> Any:
    """`value` as the type `hint` of the field `key`. Raises `UserError` if it does not fit."""
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build_dataclass(hint, check_mapping(key, value))  # type: ignore[arg-type]
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}={value} does not fit {cls.__name__}; it takes finite numbers")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal and any(value == one and type(value) is type(one) for one in args):
        return value
    if origin in (Union, UnionType):
        for kind in args:
            if value is None and kind is type(None):
                return value
            try:
                return _convert(cls, key, value, kind)
            except UserError:
                continue
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        kinds = args if origin is tuple and args[-1] is not Ellipsis else args[:1] * len(value)
        if len(kinds) == len(value):
            return origin(_convert(cls, key, one, kind) for one, kind in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {_convert(cls, key, k, args[0]): _convert(cls, key, v, args[1]) for k, v in value.items()}
    if isinstance(hint, type):
        if isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
            return value
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if hint is Path and isinstance(value, str):
            return Path(value)
    raise UserError(f"{key}={shown(value)} does not fit {cls.__name__}; it takes {_describe(hint)}")


def _describe(hint: Any) -> str:
    """What a type hint accepts, in words."""
    args = [part for part in typing.get_args(hint) if part is not Ellipsis]
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, args))}"
    if typing.get_origin(hint) in (tuple, list):
        return f"a list of {', '.join(_describe(part) for part in args)}"
    return getattr(hint, "__name__", str(hint))
