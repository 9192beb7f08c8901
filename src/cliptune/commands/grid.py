"""Grids of `cliptune run`: every combination of the values of flags whose fields take one value."""

from __future__ import annotations

import itertools
import typing
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union

from cliptune import unused_options
from cliptune.commands.flags import FLAT, Flag, flag_of, flag_types, given_fields
from cliptune.config import NOT_DECISIVE, RunConfig
from cliptune.errors import UserError

#: Limit on the flags for which all layouts of an existing sweep are looked for.
MAX_LAYOUT_FLAGS = 5


@dataclass(frozen=True)
class RunFlags:
    """The flags of a run."""

    run: Annotated[RunConfig, FLAT]


def grid_points(flags: Sequence[Flag], run: RunConfig) -> Iterator[list[str]]:
    """The words of each combination of values, for a run that has all, some or none of the flags.

    Training options of a method that trains nothing have their first value only. Raises `UserError` for several values
    of a flag that takes none, or that changes no result.
    """
    types, default = flag_types(RunFlags, RunFlags(run)), RunFlags(run)
    idle = {path for path, reason in unused_options.find_unused_options(run).items() if not reason}
    axes = []
    for flag in flags:
        values = _alternatives(flag, types.get(flag.name))
        axes.append(values[:1] if idle.issuperset(given_fields(RunFlags, [flag.name], default) or [""]) else values)
    for combination in itertools.product(*axes):
        yield [word for flag in combination for word in flag.words]


def is_grid(flag: Flag, run: RunConfig) -> bool:
    """Whether the flag has several values for one field of the run, which become several runs."""
    return len(_alternatives(flag, flag_types(RunFlags, RunFlags(run)).get(flag.name))) > 1


def check_effect(runs: Sequence[tuple[str, RunConfig]], flags: Sequence[str]) -> None:
    """Raise `UserError` for a flag of whose values at most one has an effect on a method, which would train twice.

    runs: Name of the method and configuration of each.
    """
    for flag in flags:
        effective, reasons = defaultdict[str, set[str]](set), dict[str, str]()
        for name, run in runs:
            for path in given_fields(RunFlags, [flag], RunFlags(run)):
                if reason := unused_options.find_unused_options(run).get(path):
                    reasons[name] = f"{flag} has no effect on {name}: {reason}"
                else:
                    effective[name].update(settings(run, [flag]))
        for name, reason in reasons.items():
            if len(effective[name]) < 2:
                raise UserError(reason)


def layouts(swept: Sequence[str], given: Sequence[str]) -> list[tuple[str, ...]]:
    """The sets of flags that may be in the names of folders: first the swept ones, then those of sweeps that had other
    flags with several values. swept: a part of `given`, both without repetition."""
    counts = range(len(given) + 1) if len(given) <= MAX_LAYOUT_FLAGS else (0, len(given))
    every = [flags for count in counts for flags in itertools.combinations(given, count)]
    return list(dict.fromkeys([tuple(swept), *every]))


def settings(run: RunConfig, flags: Sequence[str]) -> list[str]:
    """Name and value of the fields that the flags set: `["lr=0.01", "n_ctx=2"]`; flags that the run lacks are left
    out."""
    found = []
    for path in given_fields(RunFlags, flags, RunFlags(run)):
        value: Any = run
        for part in path.split("."):
            value = getattr(value, part)
        found.append(f"{path.rpartition('.')[2]}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
    return found


def _alternatives(flag: Flag, hint: Any) -> list[Flag]:
    """The flag with each of its values, or itself if they are one value. hint: type of its field, None if unknown."""
    word, equals, first = flag.words[0].partition("=")
    values = [*([first] if equals else []), *flag.words[1:]]
    several = _item_types(hint)
    if several:  # a comma separates the items of one value, so that words are alternatives
        if not several <= {int, float} or not any("," in value for value in values):
            return [flag]
        points = [(word, *filter(None, value.split(","))) for value in values]
    else:
        if hint is None or len(values) < 2:
            return [flag]
        if hint is bool:
            raise UserError(
                f"{word} takes no values, got {' '.join(values)}; write {word} or {flag_of('no_' + word[2:])}"
            )
        points = [(word, value) for value in values]
    if flag_of(word)[2:].replace("-", "_") in NOT_DECISIVE:
        raise UserError(f"{word} takes one value, as it does not change results, got {' '.join(values)}")
    return list(map(Flag, points))


def _item_types(hint: Any) -> set[Any]:
    """The types of the items of a field that takes several; empty for one that takes a single value."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, UnionType):
        return set().union(*map(_item_types, args))
    return {part for part in args if part is not Ellipsis} if origin in (tuple, list) else set()
