"""`cliptune results table | published | import`: tables of records, published results, logs of the research code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: Subcommand -> module in `commands/` with a function of the same name, and a line of help.
KINDS = {
    "table": ("results_table", "table FOLDER: a table of the runs in a folder as text, Markdown, CSV or LaTeX"),
    "published": ("results_published", "published: published results with their sources"),
    "import": ("results_import", "import LOGS: convert log.txt trees of the research code to records"),
}


def results(arguments: list[str]) -> None:
    """Run the subcommand named by the first argument. Raises `UserError` for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for _, line in KINDS.values())
        sys.stdout.write(f"usage: cliptune results WHAT ...\n\n{lines}\n\nSee cliptune results WHAT --help.\n")
        return
    if arguments[0] not in KINDS:
        raise UserError(f"results takes one of {', '.join(KINDS)}, got {arguments[0]}")
    home, _ = KINDS[arguments[0]]
    command: Callable[[list[str]], None] = getattr(importlib.import_module(f"cliptune.commands.{home}"), home)
    command(arguments[1:])
