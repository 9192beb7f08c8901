"""`cliptune background RUN...`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from tyro.conf import Positional

from cliptune import checks, masks
from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.commands.flags import FLAT
from cliptune.commands.output import table_console
from cliptune.commands.parse import parse, split_first
from cliptune.data.config import DataConfig
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError
from cliptune.report import reliance_records
from cliptune.report.reliance_records import EXTRA_COLUMNS, RelianceRecord
from cliptune.results import store
from cliptune.results.aggregate import display_name
from cliptune.run_dir import CHECKPOINT, find_run

#: Columns of the table in the terminal.
COLUMNS = (*CONDITIONS, "drop", "followed", "energy", "pointing")
#: The path of a run, its label, its record and the file of that.
Found = list[tuple[Path, str, RelianceRecord, Path]]


@dataclass(frozen=True)
class Background:
    """Reliance of runs on backgrounds: accuracy on the original test images, with the background removed, blurred or
    swapped with that of another class, and on the background alone, and the share of Grad-CAM on the object. Saved next
    to each run's record, where `cliptune report` finds it."""

    runs: Positional[tuple[Path, ...]]
    """Folders of runs, folders of such folders, or checkpoint files."""
    data: str = ""
    """Other data, as for evaluate; by default each run's own."""
    test: str = ""
    """One of the run's test sets by name (base, novel, test, base/same); by default the one on the backgrounds
    of training if the data has it, else its base classes or its whole test set."""
    masks_from: str = "auto"
    """The mask source: auto (masks that come with the data, Grad-CAM for images without one), data, folder:PATH,
    box:PATH, beside, alpha, ...; gradcam and maskclip use the untuned model."""
    images: int = 500
    """Number of images, drawn from the test set; the same images in each run of the command."""
    seed: int = 1
    """Seed of the swapped backgrounds."""
    saliency: Literal["predicted", "true"] = "predicted"
    """The class whose Grad-CAM is measured."""
    format: Literal["text", "json"] = "text"
    """json: a list of the saved records, each with the path of its run."""
    allow_code: bool = False
    """Import a method outside of cliptune (package.module:Class) that the run names; only for files you trust."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.at_least(self, 2, "images", hint="they swap backgrounds")
        checks.seeds(self, "seed")


def background(arguments: list[str]) -> None:
    """Measure each run and print a table."""
    split_first(arguments, "a run's folder", "background runs/sweep", help_name="run")
    options = parse(Background, "background", arguments)
    from cliptune.report.collect.reliance import RelianceOptions, measure_reliance

    masks.check_spec(options.masks_from)
    settings = RelianceOptions(
        options.data, options.test, options.masks_from, options.images, options.seed, options.saliency == "true"
    )
    runs = [place for given in options.runs for place in checkpoints(given)]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    measure = partial(measure_reliance, options=settings, config=options.reading, allow_code=options.allow_code)
    found = measure_runs(runs, measure, console)
    if options.format == "json":
        rows = [{"run": str(place), "method": label, **one.to_dict()} for place, label, one, _ in found]
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    print_reliance(found)
    counts = {why: n for _, _, one, _ in found for why, n in one.reliance.left_out.items()}
    if counts:
        console.print("left out: " + ", ".join(f"{n} images with {why}" for why, n in counts.items()))
    where = "its record" if len(found) == 1 else f"the records of {len(found)} runs"
    console.print(f"saved next to {where} as {found[-1][3].name}")


def measure_runs(runs: Sequence[Path], measure: Callable[..., tuple[RelianceRecord, Path]], console: Console) -> Found:
    """Measure each run with a progress bar: its path, its label, the record and the record's file."""
    found: Found = []
    with progress_display(console) as progress:
        for place in runs:
            label = label_of(place)
            found.append((place, label, *measure(place, tick=ProgressBar(progress, label).progress)))
    return found


def print_reliance(found: Found) -> None:
    """Print the tables of measured runs, and what their columns mean."""
    by_label: dict[str, list[RelianceRecord]] = {}
    for _, label, one, _ in found:
        by_label.setdefault(label, []).append(one)
    out = table_console()
    for table in reliance_records.tabulate_reliance(by_label):
        out.print(title_of(table), soft_wrap=True)
        out.print(to_rich_table(table))
        areas = [values["area"] for *_, values in table.rows if values["area"] is not None]
        if areas:
            out.print(f"area        {areas[0]:.1f} % of the pixels belong to objects: the energy of uniform saliency.")
    for name in COLUMNS:
        out.print(f"{name:<12}{({**CONDITIONS, **EXTRA_COLUMNS})[name]}", soft_wrap=True)


def checkpoints(given: Path) -> list[Path]:
    """The runs at or under a folder, a run on the hub, or a checkpoint file itself."""
    given = find_run(given)
    if given.is_file() or (given / CHECKPOINT).is_file():
        return [given]
    found = sorted(path.parent for path in given.rglob(CHECKPOINT))
    if not found:
        raise UserError(f"no {CHECKPOINT} at or under {given}; name a run's folder, or a folder of runs")
    return found


def label_of(place: Path) -> str:
    """A run's row in tables: the method of its record, or else its path."""
    record = (place if place.is_dir() else place.parent) / store.RESULT_FILE
    return store.load_result(record).method if record.is_file() else str(place)


def title_of(table: reliance_records.RelianceTable) -> str:
    """Caption of a table: test set, number of images, mask source, saliency."""
    data, test, masks, saliency = table.heading
    images = " or ".join(map(str, table.images))
    name = display_name(test)
    return f"{name} of {data}: {images} images, masks from {masks}, saliency of the {saliency} class; percent"


def to_rich_table(table: reliance_records.RelianceTable) -> RichTable:
    """Format the table for a terminal."""
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    rich.add_column("method", overflow="fold", min_width=10)
    for name in ("runs", *COLUMNS):
        rich.add_column(name, justify="right", no_wrap=True)
    for label, n, values in table.rows:
        cells = [f"{values[name]:.1f}" if values[name] is not None else "–" for name in COLUMNS]
        error = table.errors.get(label)
        if error is not None:
            cells[len(CONDITIONS)] += f" ± {error:.1f}"
        rich.add_row(label, str(n), *cells)
    return rich
