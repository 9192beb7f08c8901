"""The command line: find the command, run it, turn a user's mistake into one sentence."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

from rich.console import Console

from cliptune import commands, error_messages
from cliptune.errors import Unfinished, UserError


def main(argv: list[str] | None = None) -> None:
    """Run one command; a user's mistake prints one sentence on standard error and exits with 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def say(sentence: str, code: int) -> NoReturn:
        sentence = re.sub(r"\S{1000,}", lambda word: f"{word[0][:60]}...", sentence)  # a path that fills the screen
        console.print(f"cliptune: {sentence}", style="bold red", markup=False)
        sys.exit(code)

    try:
        with warnings_as_notes(console):
            try:
                run_command(arguments)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
    except UserError as error:
        say(str(error), 2)
    except Unfinished as error:
        for sentence in error.sentences[:-1]:
            console.print(f"cliptune: {sentence}", style="bold red", markup=False)
        say(error.sentences[-1], 1)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on where it stopped")
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has gone
        discard_output(sys.stdout)
    except OSError as error:
        discard_output(sys.stdout)  # or what could not be written is tried again at exit
        say(error_messages.describe_os_error(error), 2)
    except Exception as error:
        say(error_messages.describe_unexpected(error, arguments), 1)


def run_command(arguments: list[str]) -> None:
    """Run what the arguments ask for. Raises `UserError` for arguments that nothing could take."""
    if sys.stdout is None:
        raise UserError("standard output is closed; send it to a file, or to /dev/null")
    error_messages.check_arguments(arguments)
    error_messages.check_environment()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
    elif arguments[0] == "--version":
        import cliptune

        sys.stdout.write(f"cliptune {cliptune.__version__}\n")
    else:
        dispatch(arguments[0], arguments[1:])


@contextmanager
def warnings_as_notes(console: Console) -> Iterator[None]:
    """Print warnings as notes, of one line each, and each once."""
    before, said = warnings.showwarning, set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in said:
            said.add(str(message))
            console.print(f"note: {message}", style="yellow", markup=False)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def discard_output(stream: TextIO | None) -> None:
    """Send what is still to be written to a stream nowhere."""
    with suppress(OSError, ValueError, AttributeError):  # a stream of a test or a notebook has no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def usage() -> str:
    """What `cliptune --help` prints."""
    lines = [f"  {name:<12}{text}" for name, text in commands.COMMANDS.items()]
    return (
        "Prompt tuning of CLIP-like models.\n\nusage: cliptune COMMAND ...\n\n"
        + "\n".join(lines)
        + "\n\ncliptune COMMAND --help says more.\n"
    )


def dispatch(command: str, arguments: list[str]) -> None:
    """Call the command's function. Raises `UserError` for an unknown one."""
    commands.get(command)(arguments)
