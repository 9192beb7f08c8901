"""`cliptune results table | published | import | export`: records as tables, beside what was published, and to and from
the logs of the research code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: What `cliptune results` does: name -> the function's home in `commands/` and a line of help.
KINDS = {
    "table": ("results_table", "table FOLDER: the runs in a folder as a table, turned as asked; text, CSV, LaTeX"),
    "published": ("results_published", "published: numbers from papers, each with its source"),
    "import": ("results_import", "import LOGS: log.txt trees of the research code as records"),
    "export": ("results_export", "export FOLDER --out OUT: records as the log.txt trees that its scripts read"),
}


def results(arguments: list[str]) -> None:
    """Call what the first argument names. Raises `UserError` for anything else."""
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for _, line in KINDS.values())
        sys.stdout.write(f"usage: cliptune results WHAT ...\n\n{lines}\n\ncliptune results WHAT --help says more.\n")
        return
    if arguments[0] not in KINDS:
        raise UserError(f"results takes one of {', '.join(KINDS)}, got {arguments[0]}")
    home, _ = KINDS[arguments[0]]
    command: Callable[[list[str]], None] = getattr(importlib.import_module(f"cliptune.commands.{home}"), home)
    command(arguments[1:])
