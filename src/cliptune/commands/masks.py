"""`cliptune masks check | make`: check foreground masks, and make them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: Subcommands: name -> module in `commands/`, function, line of help.
KINDS = {
    "check": ("masks_check", "check", "check SOURCE --data DATA: foreground share, missing masks, contact sheet"),
    "make": ("masks_make", "make", "make --data DATA --out FOLDER: a mask for each image, by a segmentation model"),
}


def masks(arguments: list[str]) -> None:
    """Run the subcommand that the first argument names. Raises `UserError` for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for *_, line in KINDS.values())
        sys.stdout.write(
            f"usage: cliptune masks WHAT ...\n\n{lines}\n\ncliptune masks WHAT --help shows its options.\n"
        )
        return
    if arguments[0] not in KINDS:
        raise UserError(f"masks takes one of {', '.join(KINDS)}, got {arguments[0]}")
    file, function, _ = KINDS[arguments[0]]
    command: Callable[[list[str]], None] = getattr(importlib.import_module(f"cliptune.commands.{file}"), function)
    command(arguments[1:])
