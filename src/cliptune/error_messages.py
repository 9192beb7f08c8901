"""Messages for system errors and for unexpected errors, whose traceback is written to a file."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from cliptune.errors import UserError, os_reason, shown
from cliptune.files import cache_folder

#: "~name" at the start of a path: --out=~name/x, folder:~name.
HOME_PATH = re.compile(r"(?:--[\w.-]+=)?(?:[a-z]+:)?(~[\w.-]+)(?:/|$)")
#: Environment variables of launchers and thread libraries that must be integers.
INTEGER_VARIABLES = (
    "LOCAL_RANK",
    "RANK",
    "GROUP_RANK",
    "NODE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "OMP_NUM_THREADS",
)


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise `UserError` for an argument with a NUL character, invalid UTF-8 or an unknown home folder."""
    for argument in arguments:
        if "\0" in argument:
            raise UserError(
                f"the argument {shown(argument)} contains a NUL character, which is not allowed in paths and names"
            )
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"the argument {shown(argument)} is not UTF-8; rename the file or folder") from None
        home = HOME_PATH.match(argument)
        if home and os.path.expanduser(home[1]) == home[1]:
            raise UserError(f"there is no user {home[1][1:]!r}, so {shown(argument)} is not a folder")


def check_environment() -> None:
    """Raise `UserError` if one of `INTEGER_VARIABLES` is not an integer; libraries would fail on it."""
    for name in INTEGER_VARIABLES:
        value = os.environ.get(name, "")
        if value and not re.fullmatch(r"\d+(,\d+)*", value.strip()):
            raise UserError(f"the environment variable {name} must be an integer, got {shown(value)}; unset it")


def describe_os_error(error: OSError) -> str:
    """A sentence with the reason and, if known, the file of a system error."""
    what = os_reason(error)
    where = shown(str(error.filename)) if error.filename is not None else "the output of the command"
    return f"{where} cannot be read or written: {what}"


def describe_unexpected(error: Exception, arguments: Sequence[str]) -> str:
    """A sentence about any other error, with the path of a file to which its traceback is written."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"} or "not enough memory" in str(error):
        what = "not enough memory on this machine; choose a smaller batch_size or backbone"
    else:
        reason = " ".join(str(error).split())
        what = f"unexpected {type(error).__name__}" + (f": {reason[:200]}" if reason else "")
    about = f"cliptune {' '.join(arguments)}\nPython {platform.python_version()} on {platform.platform()}\n\n"
    text = about + "".join(traceback.format_exception(error))
    for folder in (cache_folder("tracebacks"), Path(tempfile.gettempdir())):
        path = folder / f"traceback-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return f"{what}; the traceback is in {path}"
    sys.stderr.write(text)
    return what
