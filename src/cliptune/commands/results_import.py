"""`cliptune results import LOGS`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cliptune.commands.parse import parse, split_first
from cliptune.errors import UserError
from cliptune.files import check_folder
from cliptune.official.logs.collect import collect_records
from cliptune.results import store


@dataclass(frozen=True)
class ResultsImport:
    """Convert the logs of the research code (CoOp, MaPLe, PromptSRC, DAPT, ...) to records: log.txt in the folders of
    its scripts, with base and novel classes paired. Unfinished runs and unknown layouts are reported and skipped."""

    out: Path = Path("runs/imported")
    """Folder for the records."""
    exact: bool = False
    """Compute accuracies from the printed counts (correct / total), if any, instead of the rounded percentages."""


def results_import(arguments: list[str]) -> None:
    """Convert a tree of logs to records."""
    path, rest = split_first(arguments, "a folder of logs", "results import output --out runs/imported")
    options = parse(ResultsImport, "results import LOGS", rest)
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give the one passed to --output-dir")
    check_folder(options.out)
    made, notes = collect_records(root, exact=options.exact)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in notes:
        console.print(note, style="yellow", markup=False)
    if not made:
        raise UserError(f"no log under {root} is of a finished run in a known layout; nothing was written")
    for folder, result in made:
        store.save_result(result, options.out / folder)
    logs = {path for _, result in made for path in result.provenance["imported_from"].values()}
    sys.stdout.write(f"{_count(len(made), 'record')} from {_count(len(logs), 'log')}\n")
    console.print(f"saved in {options.out}; next: cliptune results table {options.out}", markup=False)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
