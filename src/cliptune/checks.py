"""Checks of option values. Errors are one sentence with the name, the allowed range and the value.

Numbers must be finite, and integers if the field is annotated so. NaN and infinity never pass.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

from cliptune.errors import UserError, shown
from cliptune.plain_values import CONTROL_CHARACTERS

#: Limit on integers such as numbers of epochs, images, tokens or layers.
MAX_COUNT = 2**31 - 1


def at_least(config: Any, least: float, *names: str, hint: str = "") -> None:
    """Raise `UserError` unless the named fields of the dataclass `config` are finite numbers >= `least`."""
    _check(config, names, lambda value: value >= least, f"must be at least {least}", hint)


def positive(config: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `config` are finite numbers > 0."""
    _check(config, names, lambda value: value > 0, "must be positive")


def between(config: Any, least: float, most: float, *names: str, range_text: str = "") -> None:
    """Raise `UserError` unless the named fields of `config` are numbers from `least` to `most`.

    range_text: The range in the message, by default "from LEAST to MOST".
    """
    _check(
        config,
        names,
        lambda value: least <= value <= most,
        f"must be {range_text or f'from {least} to {most}'}",
        most=most,
    )


def seeds(config: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `config` are seeds: integers from 0 to 2**63 - 1."""
    between(config, 0, 2**63 - 1, *names, range_text="from 0 to 2**63 - 1")


def finite(config: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `config` are finite numbers."""
    _check(config, names, lambda value: True, "")


def require(fits: bool, name: str, value: Any, range_: str) -> None:
    """Raise `UserError` "NAME must be RANGE, got VALUE" if a value does not fit."""
    if not fits:
        raise UserError(f"{name} must be {range_}, got {shown(value)}")


def not_empty(config: Any, *names: str) -> None:
    """Raise `UserError` if a named field of `config` is an empty list or contains an empty string."""
    for name in names:
        if not getattr(config, name) or "" in getattr(config, name):
            raise UserError(f"{name} is empty; give at least one value")


def no_duplicates(config: Any, *names: str) -> None:
    """Raise `UserError` if a named field of `config` contains a value twice."""
    for name in names:
        values = getattr(config, name)
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise UserError(f"{name} contains {shown(twice)} twice; leave one out")


def template(name: str, value: str) -> None:
    """Raise `UserError` unless a prompt template has one {} for the class name and no other braces."""
    if value.count("{}") != 1 or set(value.replace("{}", "")) & {"{", "}"}:
        raise UserError(f"{name} {shown(value)} needs exactly one {{}} where the class name goes, and no other braces")


def classnames(names: Sequence[str]) -> None:
    """Raise `UserError` unless there are at least two class names, all different and none blank."""
    if len(names) < 2:
        raise UserError(f"classification needs at least two class names, got {shown(list(names))}")
    if any(not name.strip() for name in names):
        raise UserError(f"a class name is blank in {shown(list(names))}; leave it out")
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(f"class {shown(twice)} is listed twice; leave one out")


def printable(name: str, values: Sequence[str]) -> None:
    """Raise `UserError` if one of `values` is blank or contains `CONTROL_CHARACTERS`."""
    odd = next((value for value in values if not value.strip() or CONTROL_CHARACTERS.search(value)), None)
    if odd is not None:
        raise UserError(f"{name} {ascii(odd)} is not a printable line of text; rename it")


def without_braces(name: str, value: str) -> None:
    """Raise `UserError` for words with braces; the class name follows them without a placeholder."""
    if set(value) & {"{", "}"}:
        raise UserError(f"{name} must not contain braces, as the class name follows them, got {value!r}")


def _check(
    config: Any,
    names: Sequence[str],
    fits: Callable[[Any], bool],
    what: str,
    hint: str = "",
    most: float = MAX_COUNT,
) -> None:
    """Check each field; of a tuple, each value."""
    kinds = {f.name: str(f.type) for f in dataclasses.fields(config)}
    for name in names:
        value, whole = getattr(config, name), "int" in kinds[name]
        for number in value if isinstance(value, tuple) else (value,):
            wrong = what
            if isinstance(number, bool) or not isinstance(number, numbers.Integral if whole else numbers.Real):
                wrong = f"must be {'an integer' if whole else 'a number'}"
            elif not _is_finite(number):
                wrong = "must be a finite number" if not whole else f"must be at most {most}"
            elif fits(number):  # type: ignore[arg-type]
                if not whole or number <= most:
                    continue
                wrong = f"must be at most {most}"
            raise UserError(f"{name} {wrong}, got {shown(value)}" + (f"; {hint}" if hint else ""))


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the range of floats
        return False
