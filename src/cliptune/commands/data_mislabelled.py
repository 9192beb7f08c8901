"""`cliptune data mislabelled RUNS...`: likely wrong labels, from runs that were not trained on the images."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tyro.conf import Positional

from cliptune import checks
from cliptune.commands.output import print_columns
from cliptune.commands.parse import parse
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.results.row_tables import check_row_file, write_rows


@dataclass(frozen=True)
class DataMislabelled:
    """Print images that are likely mislabelled, the likeliest first. Runs on the same data, with other seeds or
    methods, judge the images that they were not trained on; their mean probabilities are searched by confident learning
    (Northcutt, Jiang and Chuang, JAIR 2021). Look at the images before you change a label."""

    runs: Positional[tuple[Path, ...]]
    """Run folders, or folders that contain runs."""
    out: Path | None = None
    """Write all of them to this .csv, .jsonl or .parquet file."""
    limit: int = 20
    """Number of images printed."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that a run names. Only for files that you trust."""

    def __post_init__(self):
        checks.at_least(self, 0, "limit")


def data_mislabelled(arguments: list[str]) -> None:
    """Search the data of runs for wrong labels."""
    options = parse(DataMislabelled, "data mislabelled", arguments)
    if not options.runs:
        raise UserError("name runs on the data: cliptune data mislabelled runs/seed1 runs/seed2")
    if options.out is not None:
        check_row_file(options.out)
    folders = [folder for given in options.runs for folder in run_folders(given)]
    from cliptune import mislabelled

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with progress_display(console) as progress:
        watchers = [ProgressBar(progress, "mislabelled")]
        found = mislabelled.find_mislabelled(folders, watchers, allow_code=options.allow_code)
    rows = found.rows[: options.limit]
    runs = f"{found.runs} run{'s' * (found.runs > 1)}"
    sys.stdout.write(f"{len(found.rows)} of {found.judged} images are likely mislabelled, judged by {runs}\n")
    if rows:
        cells = [
            [row["path"], *(f"{row[k]} {_percent(row[f'{k}_probability'])}" for k in ("label", "suggested"))]
            + [f"{row['agreeing']} of {row['runs']}"]
            for row in rows
        ]
        of = f", {len(rows)} of {len(found.rows)}" if len(rows) < len(found.rows) else ""
        print_columns(f"likeliest first{of}", ("image", "label", "suggested", "runs that agree"), cells)
    if rest := found.images - found.judged:
        console.print(f"{rest} of {found.images} images were in the training of every run; other seeds judge them")
    if options.out is not None:
        write_rows(options.out, mislabelled.COLUMNS, found.rows)
        console.print(f"{len(found.rows)} images in {options.out}", markup=False)


def run_folders(given: Path) -> list[Path]:
    """The run directories in a folder, or the folder itself if it is one. Raises `UserError` if there are none."""
    from cliptune.run_dir import CHECKPOINT, find_run

    given = find_run(given)
    found = [given] if (given / CHECKPOINT).is_file() else sorted(path.parent for path in given.rglob(CHECKPOINT))
    if not found:
        raise UserError(f"no runs with a checkpoint in {given}; pass folders of cliptune train or cliptune run")
    return found


def _percent(value: object) -> str:
    return f"{100 * float(value):.0f} %"  # type: ignore[arg-type]
