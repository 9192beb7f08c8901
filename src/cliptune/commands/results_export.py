"""`cliptune results export FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from cliptune import checks
from cliptune.commands.parse import parse, split_first
from cliptune.errors import UserError
from cliptune.files import check_folder, write_text
from cliptune.official.logs.scatter import scatter
from cliptune.results import store


@dataclass(frozen=True)
class ResultsExport:
    """Write records as log.txt trees of the research code, for scripts that parse them (parse_test_res.py)."""

    out: Path
    """Folder for the logs."""
    style: Literal["dassl"] = "dassl"
    """dassl: the layout of CoOp, MaPLe and later code."""
    decimals: int = 1
    """Decimals of accuracies: 1 as in current versions of that code, 2 as in older ones."""

    def __post_init__(self):
        checks.between(self, 0, 10, "decimals")


def results_export(arguments: list[str]) -> None:
    """Write the records of a folder as logs."""
    path, rest = split_first(arguments, "a folder of runs", "results export runs/sweep --style dassl --out logs")
    options = parse(ResultsExport, "results export FOLDER", rest)
    check_folder(options.out)
    logs, notes = scatter(store.load_results(Path(path)), options.decimals)
    there = next((options.out / log for log in logs if (options.out / log).exists()), None)
    if there is not None:
        raise UserError(f"{there} exists already, possibly from another run; choose another --out or remove it")
    for log, text in logs.items():
        write_text(options.out / log, text)
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in notes:
        say.print(note, style="yellow", markup=False)
    sys.stdout.write(f"{len(logs)} logs in {options.out}\n")
