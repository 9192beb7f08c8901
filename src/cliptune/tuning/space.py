"""The search space: settings of the training and of the method, each with a range or a list of values."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union

from cliptune.config import RunConfig, nested_methods, with_options
from cliptune.dataclass_io import field_types
from cliptune.errors import UserError
from cliptune.registry import nearest
from cliptune.unused_options import find_unused_options

#: What a range or a list looks like, for messages.
SYNTAX = "NAME=log:LOW:HIGH, NAME=LOW:HIGH, NAME=int:LOW:HIGH or NAME=VALUE,VALUE,..."
#: Factors below and above the preset's value in default ranges; the first that the setting accepts is taken.
DEFAULT_FACTORS = (10.0, 4.0, 2.0, 1.25)


@dataclass(frozen=True)
class Dimension:
    """A setting and its values: a range of numbers (`log`, `uniform`, `int`) or a list (`choice`).

    words: The values of a list as written, which are the categories of the sampler. values: The same, converted.
    """

    name: str
    kind: Literal["log", "uniform", "int", "choice"]
    low: float = 0.0
    high: float = 0.0
    words: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        numbers = f"{self.low:g}:{self.high:g}"
        return f"{self.name}={','.join(self.words) if self.kind == 'choice' else f'{self.kind}:{numbers}'}"

    def contains(self, value: Any) -> bool:
        """Whether the setting can have this value in the search."""
        if self.kind == "choice":
            return value in self.values
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def ends(self) -> tuple[Any, ...]:
        """The values of a list, or both ends of a range."""
        whole = self.kind == "int"
        return self.values or ((int(self.low), int(self.high)) if whole else (self.low, self.high))

    def parameter(self, value: Any) -> Any:
        """The value as the sampler's parameter."""
        return self.words[self.values.index(value)] if self.kind == "choice" else value

    def value(self, parameter: Any) -> Any:
        """The value of a sampler's parameter."""
        return self.values[self.words.index(parameter)] if self.kind == "choice" else parameter


def parse_space(words: Sequence[str] | Mapping[str, str], run: RunConfig) -> tuple[Dimension, ...]:
    """The dimensions of `["lr=log:1e-4:1e-1", "n_ctx=2,4,8"]`, or of the same as a mapping.

    run: The run whose settings are searched. Raises `UserError` for a name that it does not have, with the nearest
    ones, for a value that does not fit, and for a setting without effect.
    """
    pairs = [f"{k}={v}" for k, v in words.items()] if isinstance(words, Mapping) else list(words)
    space = []
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not (equals and name and text.strip()):
            raise UserError(f"--space takes {SYNTAX}, got {pair!r}")
        space.append(_parse(name, text.strip(), _types(run, name)))
    names = [one.name for one in space]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--space has {twice[0]} twice; give each setting once")
    for one in space:
        _check(one, run)
    return tuple(space)


def default_space(run: RunConfig) -> tuple[Dimension, ...]:
    """A space around the settings of a run: the learning rate, and every positive decimal number of the method, such as
    weights of losses, from a tenth to ten times its value (less if the setting does not allow that).

    Raises `UserError` if there is none.
    """
    names = ["lr"] * run.method.trains
    for layer in nested_methods(run.method):
        names += [f.name for f in dataclasses.fields(layer) if isinstance(getattr(layer, f.name), float)]  # type: ignore[arg-type]
    found = []
    for name in dict.fromkeys(names):
        value = setting(run, name)
        for factor in DEFAULT_FACTORS if isinstance(value, float) and value > 0 else ():
            one = Dimension(name, "log", float(f"{value / factor:.3g}"), float(f"{value * factor:.3g}"))
            try:
                _check(one, run)
            except UserError:
                continue
            found.append(one)
            break
    if not found:
        raise UserError(f"there is no default space, as all decimal settings are 0; add --space {SYNTAX}")
    return tuple(found)


def setting(run: RunConfig, name: str) -> Any:
    """The value of a setting by name, found as `with_options` does."""
    return next(getattr(part, name) for part in _parts(run) if hasattr(part, name))


def _parts(run: RunConfig) -> tuple[Any, ...]:
    return (run.training, *nested_methods(run.method))


def _types(run: RunConfig, name: str) -> Any:
    """The type of a setting. Raises `UserError` for a name that is none."""
    known = {key: hint for part in _parts(run)[::-1] for key, hint in field_types(type(part)).items() if key != "base"}
    if name in known:
        return known[name]
    if name in field_types(RunConfig) | field_types(type(run.reading)):
        raise UserError(
            f"{name} is not searched: it belongs to the data or the run; set it with --{name.replace('_', '-')}"
        )
    raise UserError(f"unknown setting {name!r} in --space; {nearest(name, sorted(known))}")


def _parse(name: str, text: str, hint: Any) -> Dimension:
    kind, colon, rest = text.partition(":")
    if not colon or "," in text:
        words = tuple(word.strip() for word in text.split(","))
        if len(set(words)) < len(words) or len(words) < 2:
            raise UserError(
                f"{name}={text} needs at least two different values; fix a value with --{name.replace('_', '-')}"
            )
        return Dimension(name, "choice", words=words, values=tuple(_convert(name, word, hint) for word in words))
    kind, rest = (kind, rest) if kind in ("log", "uniform", "int") else ("uniform", text)
    numbers = rest.split(":")
    try:
        low, high = map(float, numbers)
    except ValueError:
        raise UserError(f"{name}={text} is no range of numbers; --space takes {SYNTAX}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"{name}={text} needs two numbers, the smaller one first")
    types = _alternatives(hint)
    if int not in types and float not in types:
        raise UserError(f"{name}={text} is a range, but {name} is not a number; give a list: {name}=VALUE,VALUE")
    if float not in types:
        if not (low.is_integer() and high.is_integer()):
            raise UserError(f"{name}={text} has decimals, but {name} takes whole numbers: {name}=int:LOW:HIGH")
        kind = "int" if kind == "uniform" else kind
        if kind == "log":
            raise UserError(f"{name}={text}: a log range is for decimal numbers; give a list, such as {name}=2,4,8,16")
    elif kind == "int":
        raise UserError(f"{name}={text}: int is for whole numbers, and {name} takes decimals: {name}=LOW:HIGH")
    if kind == "log" and low <= 0:
        raise UserError(f"{name}={text} must begin above 0, as it is a log range; use {name}=LOW:HIGH")
    return Dimension(name, kind, low, high)  # type: ignore[arg-type]


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, UnionType) else (hint,)


def _convert(name: str, word: str, hint: Any) -> Any:
    """A word as the type of the setting; `with_options` checks the value."""
    for kind in _alternatives(hint):
        if typing.get_origin(kind) in (tuple, list, dict):
            raise UserError(
                f"{name} takes several values at once, which are not searched; set it with --{name.replace('_', '-')}"
            )
        if kind is bool and word.lower() in ("true", "false"):
            return word.lower() == "true"
        if kind is type(None) and word.lower() == "none":
            return None
        if kind in (int, float):
            try:
                return kind(word)
            except ValueError:
                continue
    return word


def _check(one: Dimension, run: RunConfig) -> None:
    """Raise `UserError` if a value does not fit the run, for a list of which at most one value has an effect, and for a
    range without effect."""
    reasons = []
    for value in one.ends():
        changed = with_options(run, {one.name: value})
        unused = find_unused_options(changed).items()
        reasons += [why or "the method trains nothing" for path, why in unused if path.rpartition(".")[2] == one.name]
    if reasons and len(one.ends()) - len(reasons) < (2 if one.kind == "choice" else 1):
        raise UserError(f"{one.name} has no effect: {reasons[0]}")
