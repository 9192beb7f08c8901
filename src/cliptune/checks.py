"""Checks of option values: one sentence with the name, the value and what it may be.

Numbers are finite, and whole where the field says so; NaN, which no comparison catches, and infinity never pass.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

from cliptune.errors import UserError, shown
from cliptune.plain_values import CONTROL_CHARACTERS

#: No count of epochs, images, tokens or layers is larger.
MAX_COUNT = 2**31 - 1


def at_least(held: Any, least: float, *names: str, hint: str = "") -> None:
    """Raise `UserError` unless the named fields of the dataclass `held` are finite numbers from `least` on."""
    _check(held, names, lambda value: value >= least, f"must be at least {least}", hint)


def positive(held: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `held` are finite numbers above 0."""
    _check(held, names, lambda value: value > 0, "must be positive")


def between(held: Any, least: float, most: float, *names: str, said: str = "") -> None:
    """Raise `UserError` unless the named fields of `held` are numbers from `least` to `most`.

    said: the range in other words than "from LEAST to MOST".
    """
    _check(held, names, lambda value: least <= value <= most, f"must be {said or f'from {least} to {most}'}", most=most)


def seeds(held: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `held` are seeds, which are whole numbers of 63 bits."""
    between(held, 0, 2**63 - 1, *names, said="from 0 to 2**63 - 1")


def finite(held: Any, *names: str) -> None:
    """Raise `UserError` unless the named fields of `held` are finite numbers."""
    _check(held, names, lambda value: True, "")


def require(fits: bool, name: str, value: Any, range_: str) -> None:
    """Raise `UserError` "NAME must be RANGE, got VALUE" if a value does not fit."""
    if not fits:
        raise UserError(f"{name} must be {range_}, got {shown(value)}")


def not_empty(held: Any, *names: str) -> None:
    """Raise `UserError` for a named field of `held` that lists nothing, or an empty name."""
    for name in names:
        if not getattr(held, name) or "" in getattr(held, name):
            raise UserError(f"{name} names nothing; give one or several")


def no_duplicates(held: Any, *names: str) -> None:
    """Raise `UserError` for a named field of `held` that lists something twice."""
    for name in names:
        values = getattr(held, name)
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise UserError(f"{name} has {shown(twice)} twice; leave one out")


def template(name: str, value: str) -> None:
    """Raise `UserError` unless a sentence has one {} for the class name and no other braces."""
    if value.count("{}") != 1 or set(value.replace("{}", "")) & {"{", "}"}:
        raise UserError(f"{name} {shown(value)} needs exactly one {{}} where the class name goes, and no other braces")


def classnames(names: Sequence[str]) -> None:
    """Raise `UserError` unless there are at least two class names, none of them blank or there twice."""
    if len(names) < 2:
        raise UserError(f"classification needs at least two class names, got {shown(list(names))}")
    if any(not name.strip() for name in names):
        raise UserError(f"a class name is blank in {shown(list(names))}; leave it out")
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise UserError(f"class {shown(twice)} comes twice; leave one out")


def printable(name: str, values: Sequence[str]) -> None:
    """Raise `UserError` for a text among `values` that is blank, or holds what no line of text does."""
    odd = next((value for value in values if not value.strip() or CONTROL_CHARACTERS.search(value)), None)
    if odd is not None:
        raise UserError(f"{name} {ascii(odd)} is no line of text; rename it, with letters that UTF-8 holds")


def without_braces(name: str, value: str) -> None:
    """Raise `UserError` for words that have braces: the class name follows them."""
    if set(value) & {"{", "}"}:
        raise UserError(f"{name} are those in front of the class name, without braces, got {value!r}")


def _check(
    held: Any,
    names: Sequence[str],
    fits: Callable[[Any], bool],
    what: str,
    hint: str = "",
    most: float = MAX_COUNT,
) -> None:
    """Check each field, and of a tuple each of its values."""
    kinds = {f.name: str(f.type) for f in dataclasses.fields(held)}
    for name in names:
        value, whole = getattr(held, name), "int" in kinds[name]
        for number in value if isinstance(value, tuple) else (value,):
            wrong = what
            if isinstance(number, bool) or not isinstance(number, numbers.Integral if whole else numbers.Real):
                wrong = f"must be a {'whole number' if whole else 'number'}"
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
    except OverflowError:  # a whole number that no float holds
        return False
