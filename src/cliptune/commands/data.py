"""`cliptune data list | check | download | show`: list, check, download and display datasets."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: Name -> module in `commands/` with a function of the same name, and a line of help.
KINDS = {
    "list": ("data_list", "list: list all datasets, with the sizes of public ones and whether they are on disk"),
    "check": ("data_check", "check ROOT [NAMES...]: check a folder of public datasets for missing or wrong files"),
    "download": ("data_download", "download NAMES... --root ROOT: download public datasets and check them"),
    "show": ("data_show", "show DATA: draw samples of each class, with their masks"),
}


def data(arguments: list[str]) -> None:
    """Call the subcommand in the first argument. Raises `UserError` if it is unknown."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for _, line in KINDS.values())
        sys.stdout.write(f"usage: cliptune data WHAT ...\n\n{lines}\n\nSee cliptune data WHAT --help.\n")
        return
    if arguments[0] not in KINDS:
        raise UserError(f"data takes one of {', '.join(KINDS)}, got {arguments[0]}")
    home, _ = KINDS[arguments[0]]
    module = importlib.import_module(f"cliptune.commands.{home}")
    command: Callable[[list[str]], None] = getattr(module, home)
    command(arguments[1:])
