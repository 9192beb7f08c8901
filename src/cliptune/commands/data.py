"""`cliptune data list | check | download | show`: what datasets there are, what is wrong with those on disk, how to get
them, how they look."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: What `cliptune data` does: name -> the function's home in `commands/` and a line of help.
KINDS = {
    "list": ("data_list", "list: every source, with the sizes of public datasets and whether they are there"),
    "check": ("data_check", "check ROOT [NAMES...]: what is missing or wrong in a folder of public datasets"),
    "download": ("data_download", "download NAMES... --root ROOT: fetch public datasets, check them and lay them out"),
    "show": ("data_show", "show DATA: a picture of samples of each class, with their masks"),
}


def data(arguments: list[str]) -> None:
    """Call what the first argument names. Raises `UserError` for anything else."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for _, line in KINDS.values())
        sys.stdout.write(f"usage: cliptune data WHAT ...\n\n{lines}\n\ncliptune data WHAT --help says more.\n")
        return
    if arguments[0] not in KINDS:
        raise UserError(f"data takes one of {', '.join(KINDS)}, got {arguments[0]}")
    home, _ = KINDS[arguments[0]]
    module = importlib.import_module(f"cliptune.commands.{home}")
    command: Callable[[list[str]], None] = getattr(module, home)
    command(arguments[1:])
