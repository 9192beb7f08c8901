"""Arguments to dataclasses, with short flags: `--lr` for `--training.lr`, `--n-ctx` for wherever the method keeps
it."""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
import re
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import docstring_parser
import tyro

from cliptune.config import RunConfig, nested_methods
from cliptune.errors import UserError
from cliptune.registry import closest

T = TypeVar("T")


def parse(kind: type[T], command: str, arguments: list[str], default: Any = None, about: str = "") -> T:
    """`arguments` as a `kind`; prints help and exits 0. Raises `UserError` for what it cannot take.

    about: a paragraph of the help, after what the class says.
    """
    more: dict[str, Any] = {} if default is None else {"default": default}
    if {"-h", "--help"} & set(arguments):
        for part in _parts(kind, default):
            _unbroken(part)
        more["description"] = "\n\n".join(filter(None, (inspect.getdoc(kind), about)))
    return one_sentence_errors(command, lambda: tyro.cli(kind, prog=f"cliptune {command}", args=arguments, **more))


def _parts(kind: Any, held: Any = None) -> Iterator[Any]:
    """A dataclass and those of its fields, of the instance `held` where there is one."""
    yield kind
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner = hints[field.name] if held is None else type(getattr(held, field.name))
        if dataclasses.is_dataclass(inner):
            yield from _parts(inner, None if held is None else getattr(held, field.name))


def _unbroken(kind: Any) -> None:
    """Let help break the fields' docstrings into lines itself, not where the source does."""
    said = {one.arg_name: one.description or "" for one in docstring_parser.parse_from_object(kind).params}
    for field in dataclasses.fields(kind):
        if said.get(field.name) and "help" not in field.metadata:
            field.metadata = MappingProxyType({**field.metadata, "help": " ".join(said[field.name].split())})


def one_sentence_errors(command: str, read: Callable[[], T]) -> T:
    """What `read` returns; the box in which tyro says what is wrong becomes a sentence."""
    try:
        with redirect_stderr(io.StringIO()):
            return read()
    except SystemExit as stop:
        if not stop.code:
            raise
    said = io.StringIO()
    with _wide(), redirect_stderr(said), suppress(SystemExit):  # said again where nothing is broken into lines
        read()
    raise UserError(_reason(said.getvalue(), command))


@contextmanager
def _wide() -> Iterator[None]:
    """A terminal on which every sentence has room."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _reason(box: str, command: str) -> str:
    """What stands in tyro's box up to its first inner line, drawn in Unicode or in ASCII."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" │|") for line in box.splitlines()[1:]]
    rules = (i for i, line in enumerate(lines) if re.match("[─╰]|--{5,}|[+]-", line))
    kept = [line for line in lines[next(rules, len(lines)) == 0 :] if line]
    end = next((i for i, line in enumerate(kept) if re.match("[─╰]|--{5,}|[+]-", line)), len(kept))
    reason = " ".join(kept[:end]).rstrip(".")
    # A check of our own says all there is to say.
    own = re.sub(r"^Error parsing (?!-)[\w.]+: ", "", reason)
    return own if own != reason else f"{reason}; cliptune {command} --help lists the options"


def split_first(arguments: list[str], what: str, example: str, *, helped: str = "") -> tuple[str, list[str]]:
    """The first argument, which names something, and the rest. Raises `UserError` if it is missing.

    helped: the name that stands in where help is asked for without one.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        return helped, arguments
    if not arguments or arguments[0].startswith("-"):
        raise UserError(f"{what} comes first: cliptune {example}")
    return arguments[0], arguments[1:]


@dataclass(frozen=True)
class Flag:
    """A flag as it was written, with the values after it. name: without dashes in front or underscores."""

    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.words[0][2:].partition("=")[0].replace("_", "-")


def partition_flags(arguments: Sequence[str], own: Collection[str]) -> tuple[list[str], list[Flag]]:
    """The arguments that belong to flags in `own` (and what stands before any flag), and the other flags."""
    kept: list[str] = []
    others: list[Flag] = []
    to_own = True
    for argument in arguments:
        if argument.startswith("--"):
            to_own = Flag((argument,)).name in {*own, "help"}
            if not to_own:
                others.append(Flag((argument,)))
                continue
        elif argument == "-h":
            to_own = True
        if to_own:
            kept.append(argument)
        else:
            others[-1] = Flag((*others[-1].words, argument))
    return kept, others


def is_run_flag(run: RunConfig, flag: Flag, without: Sequence[str] = ()) -> bool:
    """Whether a flag is of the run, its training or its method; `without`: fields of the run that do not count."""
    return flag.name in _places(run) and flag.name not in [name.replace("_", "-") for name in without]


def unknown_flag_error(
    flag: Flag, command: str, runs: Sequence[RunConfig], own: Collection[str] = (), without: Sequence[str] = ()
) -> UserError:
    """What says that no run knows a flag of a command, naming the nearest."""
    there = {*own, *(name for run in runs for name in _places(run) if "." not in name)}
    said = _no_such(flag.name, there - {name.replace("_", "-") for name in without})
    return UserError(f"{said}; cliptune {command} --help lists the command's own")


def lengthen(arguments: list[str], run: RunConfig, own: type) -> list[str]:
    """Flags written out for `parse`: `--epochs` -> `--training.epochs`, `--depth` -> `--method.base.depth`.

    own: the command's dataclass, whose flags stand as they are. Raises `UserError` with the nearest flags for an
    unknown one.
    """
    places = {**_places(run), **{flag: flag for flag in [*_flags(own), "help", "h"]}}
    long = []
    for argument in arguments:
        if not argument.startswith("--"):
            long.append(argument)
            continue
        name, equals, value = argument[2:].partition("=")
        name = name.replace("_", "-")
        if name not in places:
            raise _no_such(name, places)
        long.append(f"--{places[name]}{equals}{value}")
    return long


def given_fields(arguments: Iterable[str]) -> list[str]:
    """Paths of the fields that flags written out name: `--method.base.no-search` -> method.base.search."""
    flags = [argument[2:].partition("=")[0] for argument in arguments if argument.startswith("--")]
    return [re.sub(r"(^|\.)no_", r"\1", flag.replace("-", "_")) for flag in flags]


def _places(run: RunConfig) -> dict[str, str]:
    """Short flag of a run, its method, training or reading -> the flag written out."""
    places = {flag: flag for flag in _flags(RunConfig)}
    prefix = "method"
    for layer in nested_methods(run.method):
        for flag in _flags(type(layer)):
            places.setdefault(flag, f"{prefix}.{flag}")
            places[f"{prefix}.{flag}"] = f"{prefix}.{flag}"
        prefix += ".base"
    for prefix, part in (("training", run.training), ("reading", run.reading)):
        for flag in _flags(type(part)):
            places.setdefault(flag, f"{prefix}.{flag}")
            places[f"{prefix}.{flag}"] = f"{prefix}.{flag}"
    return places


def _no_such(name: str, places: Iterable[str]) -> UserError:
    close = closest(name, sorted(places))
    said = f"nearest: {', '.join('--' + c for c in close)}" if close else "--help lists them"
    return UserError(f"unknown option --{name}; {said}")


def flags_of(kind: type) -> set[str]:
    """Flags of a command's dataclass and of those in it whose own name is left out."""
    inner = [t for t in typing.get_type_hints(kind).values() if dataclasses.is_dataclass(t)]
    return {*_flags(kind), *(flag for part in inner for flag in _flags(part))}


def _flags(kind: Any) -> list[str]:
    held = {"method", "training", "reading", "base", "run"}
    fields = [f for f in dataclasses.fields(kind) if f.name not in held]
    off = [f"no-{f.name}" for f in fields if f.default is True]  # how tyro spells what switches a flag off
    return [name.replace("_", "-") for name in [*(f.name for f in fields), *off]]
