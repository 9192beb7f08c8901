"""The flags of a dataclass.

The flag of a field in a nested dataclass is its path, `--training.lr` or `--method.base.n-ctx`, and its name alone,
`--lr` or `--n-ctx`. If several dataclasses have a field of the same name, the outermost one gets the short flag.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import docstring_parser
import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from cliptune.errors import UserError

#: Annotation of a nested dataclass whose flags have no prefix.
FLAT = tyro.conf.arg(name="")


class InvalidOptions(Exception):
    """A `UserError` raised while tyro builds a dataclass. tyro would catch and print a `ValueError`."""


@dataclass(frozen=True)
class Flag:
    """A flag as written on the command line, followed by its values."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The flag with dashes in place of underscores, without a value."""
        return flag_of(self.words[0].partition("=")[0])


def flag_of(path: str) -> str:
    """The flag of a path: "method.n_ctx" -> "--method.n-ctx"."""
    return "--" + path.removeprefix("--").replace("_", "-")


def flag_names(kind: Any, default: Any = None, hidden: Collection[str] = ()) -> list[str]:
    """All flags of a dataclass: "--lr", "--training.lr", "--no-cache", ... hidden: paths of fields to leave out."""
    return [flag for flag, path in _field_paths(kind, default).items() if path not in hidden]


def flag_types(kind: Any, default: Any = None) -> dict[str, Any]:
    """Flag, short or long -> the type of its field."""
    types = {part.prefix + name: hint for part in _parts(kind, default) for name, hint in part.types.items()}
    return {flag: types[path] for flag, path in _field_paths(kind, default).items()}


def given_fields(kind: Any, arguments: Iterable[str], default: Any = None) -> list[str]:
    """Paths of the fields that the flags among `arguments` set: `--no-search` -> "method.base.search"."""
    paths = _field_paths(kind, default)
    flags = [Flag((argument,)).name for argument in arguments if argument.startswith("--")]
    return [paths[flag] for flag in flags if flag in paths]


def flag_registry(kind: Any, default: Any, hidden: Collection[str], help_texts: bool) -> ConstructorRegistry:
    """The rule by which tyro builds a dataclass and the dataclasses in its fields, with short flags as well.

    hidden: Fields that get no flag. help_texts: Read the docstrings of the fields.
    """
    parts = {id(part.default): part.prefix for part in _parts(kind, default) if part.default is not None}
    paths = _field_paths(kind, default)

    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        if not dataclasses.is_dataclass(info.type):
            return None
        prefix = parts.get(id(info.default), "")
        hints = typing.get_type_hints(info.type, include_extras=True)
        texts = _help_texts(info.type) if help_texts else {}
        fields = []
        for field in dataclasses.fields(info.type):
            hint, value = hints[field.name], _default(info.default, field)
            if prefix and paths.get(flag_of(field.name)) == prefix + field.name:
                hint = Annotated[hint, tyro.conf.arg(aliases=(flag_of(field.name),))]
            text = texts.get(field.name) or (inspect.getdoc(value) if dataclasses.is_dataclass(value) else "")
            if field.name not in hidden:
                fields.append(StructFieldSpec(field.name, hint, value, text))  # type: ignore[arg-type]
        return StructConstructorSpec(partial(_build, info), tuple(fields))

    registry = ConstructorRegistry()
    registry.struct_rule(rule)
    return registry


@dataclass(frozen=True)
class _Part:
    """A dataclass with flags: the one of a command, or one inside it.

    prefix: Prefix of its fields' paths. types: Types of its fields by name. default: An instance with the default
    values, or None.
    """

    prefix: str
    types: dict[str, Any]
    default: Any


def _parts(kind: Any, default: Any, prefix: str = "") -> Iterator[_Part]:
    """A dataclass and those in its fields, outermost first."""
    hints = typing.get_type_hints(kind, include_extras=True)
    plain = typing.get_type_hints(kind)
    types = {}
    for field in dataclasses.fields(kind):
        value = getattr(default, field.name, None)  # a field of type Method contains a subclass
        types[field.name] = type(value) if dataclasses.is_dataclass(value) else plain[field.name]
    yield _Part(prefix, types, default)
    for name, inner in types.items():
        if dataclasses.is_dataclass(inner):
            flat = FLAT in getattr(hints[name], "__metadata__", ())
            yield from _parts(inner, getattr(default, name, None), prefix if flat else f"{prefix}{name}.")


def _field_paths(kind: Any, default: Any) -> dict[str, str]:
    """Flag, short or long -> path of its field: {"--lr": "training.lr", "--training.lr": "training.lr", ...}."""
    found: dict[str, str] = {}
    for part in _parts(kind, default):
        for name, hint in part.types.items():
            if not dataclasses.is_dataclass(hint):
                negated = (f"no_{name}", f"{part.prefix}no_{name}") if hint is bool else ()
                for path in (name, part.prefix + name, *negated):
                    found.setdefault(flag_of(path), part.prefix + name)
    return found


def _help_texts(kind: Any) -> dict[str, str]:
    """The docstrings of the fields without the line breaks of the source: help breaks lines itself."""
    params = docstring_parser.parse_from_object(kind).params
    return {param.arg_name: " ".join((param.description or "").split()) for param in params}


def _default(instance: Any, field: dataclasses.Field[Any]) -> Any:
    """The value of a field in an instance, or else the default of the field."""
    if dataclasses.is_dataclass(instance):
        return getattr(instance, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return tyro.MISSING if field.default is dataclasses.MISSING else field.default


def _build(info: StructTypeInfo, **values: Any) -> Any:
    try:
        make = partial(dataclasses.replace, info.default) if isinstance(info.default, info.type) else info.type
        return make(**values)
    except UserError as error:
        raise InvalidOptions(str(error)) from None
