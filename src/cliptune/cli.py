"""The command line: run a command and report mistakes of the user in one sentence."""

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
    """Run one command. A mistake of the user prints one sentence on standard error and exits with 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def fail(sentence: str, code: int) -> NoReturn:
        sentence = re.sub(r"\S{1000,}", lambda word: f"{word[0][:60]}...", sentence)  # such as an endless path
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
        fail(str(error), 2)
    except Unfinished as error:
        for sentence in error.sentences[:-1]:
            console.print(f"cliptune: {sentence}", style="bold red", markup=False)
        fail(error.sentences[-1], 1)
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to continue")
        sys.exit(130)
    except BrokenPipeError:  # the reader (head, less) has exited
        discard_output(sys.stdout)
    except OSError as error:
        discard_output(sys.stdout)  # otherwise Python tries to write the rest again at exit
        fail(error_messages.describe_os_error(error), 2)
    except Exception as error:
        fail(error_messages.describe_unexpected(error, arguments), 1)


def run_command(arguments: list[str]) -> None:
    """Run the command of the arguments, or print help. Raises `UserError` for invalid arguments."""
    if sys.stdout is None:
        raise UserError("standard output is closed; send it to a file, or to /dev/null")
    error_messages.check_arguments(arguments)
    error_messages.check_environment()
    if os.environ.get("MPLBACKEND", "").startswith("module://"):
        del os.environ["MPLBACKEND"]  # of the notebook that starts this command, whose Python may not have it
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
    elif arguments[0] == "--version":
        import cliptune

        sys.stdout.write(f"cliptune {cliptune.__version__}\n")
    else:
        commands.get(arguments[0])(arguments[1:])


@contextmanager
def warnings_as_notes(console: Console) -> Iterator[None]:
    """Print each warning once, as a note of one line."""
    before, shown = warnings.showwarning, set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        if str(message) not in shown:
            shown.add(str(message))
            console.print(f"note: {message}", style="yellow", markup=False)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def discard_output(stream: TextIO | None) -> None:
    """Discard what is still to be written to a stream."""
    with suppress(OSError, ValueError, AttributeError):  # in a test or a notebook, the stream has no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def usage() -> str:
    """The text of `cliptune --help`."""
    lines = [f"  {name:<12}{text}" for name, text in commands.COMMANDS.items()]
    return (
        "Prompt tuning of CLIP-like models.\n\nusage: cliptune COMMAND ...\n\n"
        + "\n".join(lines)
        + "\n\ncliptune COMMAND --help shows the options of a command.\n"
    )
