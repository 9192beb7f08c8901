"""`cliptune data`, `cliptune masks` and `cliptune results`: groups of subcommands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from cliptune.errors import UserError

#: Group -> subcommand -> line of help. The function of a subcommand is `GROUP_SUBCOMMAND` in the module of that name.
SUBCOMMANDS = {
    "data": {
        "list": "list: list all datasets, with the sizes of public ones and whether they are on disk",
        "check": "check ROOT [NAMES...]: check a folder of public datasets for missing or wrong files",
        "download": "download NAMES... --root ROOT: download public datasets, or masks of them, and check them",
        "show": "show DATA: draw samples of each class, with their masks",
        "duplicates": "duplicates DATA: exact and near duplicates, across classes and in both training and test",
        "mislabelled": "mislabelled RUNS...: likely wrong labels, judged by runs that were not trained on the images",
    },
    "masks": {
        "check": "check SOURCE --data DATA: foreground share, missing masks, contact sheet",
        "make": "make --data DATA --out FOLDER: a mask for each image, by a segmentation model",
    },
    "results": {
        "table": "table FOLDER: a table of the runs in a folder as text, Markdown, CSV or LaTeX",
        "published": "published: published results with their sources",
        "import": "import LOGS: convert log.txt trees of the research code to records",
    },
}


def data(arguments: list[str]) -> None:
    """List, check, download and display datasets."""
    _run_subcommand("data", arguments)


def masks(arguments: list[str]) -> None:
    """Check foreground masks, and make them."""
    _run_subcommand("masks", arguments)


def results(arguments: list[str]) -> None:
    """Make tables of records, show published results, and import logs of the research code."""
    _run_subcommand("results", arguments)


def _run_subcommand(group: str, arguments: list[str]) -> None:
    """Run the subcommand that the first argument names. Raises `UserError` for an unknown one."""
    known = SUBCOMMANDS[group]
    if not arguments or arguments[0] in ("-h", "--help"):
        lines = "\n".join(f"  {line}" for line in known.values())
        sys.stdout.write(f"usage: cliptune {group} WHAT ...\n\n{lines}\n\nSee cliptune {group} WHAT --help.\n")
        return
    if arguments[0] not in known:
        raise UserError(f"{group} takes one of {', '.join(known)}, got {arguments[0]}")
    name = f"{group}_{arguments[0]}"
    command: Callable[[list[str]], None] = getattr(importlib.import_module(f"cliptune.commands.{name}"), name)
    command(arguments[1:])
