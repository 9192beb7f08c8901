"""Command-line arguments to dataclasses, with tyro; every mistake becomes a `UserError` of one sentence."""

from __future__ import annotations

import inspect
import io
import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from typing import Any, TypeVar

import tyro

from cliptune.commands.flags import Flag, InvalidOptions, flag_names, flag_registry
from cliptune.errors import UserError
from cliptune.registry import closest

T = TypeVar("T")


def parse(kind: type[T], command: str, arguments: Sequence[str], default: Any = None, about: str = "") -> T:
    """Parse `arguments` as a `kind`; for `--help`, print the help and exit with 0.

    Args:
        kind: A dataclass.
        command: The words after "cliptune", for messages.
        arguments: The words after those.
        default: An instance with the default values.
        about: A paragraph of the help, after the docstring of `kind`.

    Raises:
        UserError: If a flag is unknown (the nearest are named) or a value does not fit.
    """
    value, unknown = parse_known(kind, command, arguments, default, about)
    if unknown:
        raise unknown_flag_error(unknown[0], command, flag_names(kind, default))
    return value


def parse_known(
    kind: type[T],
    command: str,
    arguments: Sequence[str],
    default: Any = None,
    about: str = "",
    hidden: Collection[str] = (),
) -> tuple[T, list[Flag]]:
    """Like `parse`, but return the unknown flags as well. hidden: fields that get no flag."""
    show_help = bool({"-h", "--help"} & set(arguments))
    more: dict[str, Any] = {} if default is None else {"default": default}
    if show_help:
        more["description"] = "\n\n".join(filter(None, (inspect.getdoc(kind), about)))
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), nullcontext() if show_help else _wide_terminal():
            value, rest = tyro.cli(
                kind,
                prog=f"cliptune {command}",
                args=arguments,
                return_unknown_args=True,
                registry=flag_registry(kind, default, hidden, show_help),
                **more,
            )
    except InvalidOptions as error:
        raise UserError(str(error)) from None
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{_first_paragraph(printed.getvalue())}; {_help_hint(command)}") from None
    if rest and not rest[0].startswith("-"):
        raise UserError(f"unexpected argument {rest[0]!r}; {_help_hint(command)}")
    starts = [i for i, word in enumerate(rest) if re.match(r"-(?![\d.])", word)]
    return value, [Flag(tuple(rest[i:j])) for i, j in itertools.pairwise([*starts, len(rest)])]


def split_first(arguments: Sequence[str], what: str, example: str, *, help_name: str = "") -> tuple[str, list[str]]:
    """The first argument, which is a name or a path, and the others. Raises `UserError` if it is missing.

    help_name: The name to assume for `--help` without one.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        return help_name, list(arguments)
    if not arguments or arguments[0].startswith("-"):
        raise UserError(f"{what} comes first: cliptune {example}")
    return arguments[0], list(arguments[1:])


def unknown_flag_error(flag: Flag, command: str, known: Iterable[str]) -> UserError:
    """The error for a flag that a command does not have, with the nearest ones of the same form, short or long."""
    close = closest(flag.name, (name for name in known if ("." in name) == ("." in flag.name)))
    hint = f"nearest: {', '.join(close)}; " if close else ""
    return UserError(f"unknown option {flag.words[0].partition('=')[0]}; {hint}{_help_hint(command)}")


def _help_hint(command: str) -> str:
    return f"cliptune {command} --help lists the options"


@contextmanager
def _wide_terminal() -> Iterator[None]:
    """A terminal so wide that tyro does not break messages into lines."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def _first_paragraph(box: str) -> str:
    """The first paragraph of the box in which tyro prints an error. There is no public way to get the text alone."""
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", row).strip(" │|") for row in box.splitlines()[1:]]
    rows = itertools.dropwhile(_is_rule, rows)  # drawn in ASCII, the box has a rule below its title
    return " ".join(itertools.takewhile(lambda row: not _is_rule(row), rows)).rstrip(".")


def _is_rule(row: str) -> bool:
    return re.match("[─╰]|-{5}|[+]-", row) is not None
