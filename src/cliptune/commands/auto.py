"""`cliptune auto`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Console

from cliptune import checks, files, masks, unused_options
from cliptune.backbones.bundled import AUTO
from cliptune.backbones.resolve import resolve_backbone
from cliptune.commands.evaluate import print_metrics
from cliptune.commands.flags import FLAT, flag_names
from cliptune.commands.output import print_columns
from cliptune.commands.parse import parse_known
from cliptune.commands.planning import apply_flags, fields_of_flags
from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.engine.progress import ProgressBar, progress_display
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.selection.compare import Measured


@dataclass(frozen=True)
class Auto:
    """Choose a method for your images within a time limit, and train it. Methods are compared on images that they were
    not trained on, never on test images. The most accurate one wins if it is clearly better than all cheaper ones,
    otherwise the cheapest that is not clearly worse.

    Other flags of train, such as --lr or --n-ctx, apply to every method that has them."""

    data: str = "emoji"
    """As for train: folder:PATH, csv:FILE, ..."""
    time_limit: str = "10m"
    """Such as 90s, 10m, 1h, or seconds; 0 for no limit. It includes the final training. Methods that do not fit are
    left out, and named."""
    out: Path = Path("runs/auto")
    """Folder of the run, the leaderboard and the finished folds. The same command continues an interrupted one; with a
    longer limit, it adds the methods that were left out."""
    methods: tuple[str, ...] = ()
    """Names of methods, cheapest first; wrappers are joined by +. zeroshot is always compared."""
    scored_on: Literal["auto", "validation", "folds"] = "auto"
    """Images that methods are compared on: validation images, or cross-validation folds of the training images. auto:
    validation images if the data has a validation split of its own, otherwise folds."""
    folds: int = 5
    """Number of folds."""
    shots: int = 0
    """Training images per class; 0 takes all."""
    seed: int = 1
    """Seed of the folds, and as for train."""
    backbone: str = AUTO
    """As for train."""
    pretrained: str = ""
    """As for train."""
    preset: str = "auto"
    """As for train."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)

    def __post_init__(self):
        checks.at_least(self, 0, "shots")
        checks.at_least(self, 2, "folds")
        checks.seeds(self, "seed")


def auto(arguments: list[str]) -> None:
    """Choose a method, train it, and print the leaderboard and the accuracy on test images."""
    options, flags = parse_known(Auto, "auto", arguments)
    from cliptune.selection import candidates, time_limit

    seconds = time_limit.parse_time(options.time_limit)
    files.check_folder(options.out)
    names = candidates.candidate_names(options.methods or candidates.DEFAULT_METHODS)
    fields = ("data", "shots", "seed", "backbone", "pretrained", "reading")
    runs = candidates.preset_runs(names, options.preset, {name: getattr(options, name) for name in fields})
    changed = apply_flags("auto", runs, flags, flag_names(Auto)) if flags else runs
    if len(changed) > len(runs):
        raise UserError("auto takes one value per option; cliptune run few-shot compares several")
    runs = changed
    unused_options.check_unused_options([run for _, run in runs], sorted(fields_of_flags(runs, flags)))
    sources.get(options.data, options.reading)
    resolve_backbone(runs[0][1].backbone, options.pretrained)
    for _, run in runs:
        masks.check_spec(run.method.mask_source() or "auto")
    from cliptune.selection.select import select

    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(sentence: str) -> None:
        console.print(sentence, markup=False)

    with progress_display(console) as progress:
        selection = select(
            runs,
            options.out,
            time_limit.Budget(seconds),
            scored_on=options.scored_on,
            folds=options.folds,
            watchers_of=lambda title: [ProgressBar(progress, title)],
            say=say,
            done=lambda measured: say(describe_measured(measured)),
        )
    print_leaderboard(selection.rows)
    sys.stdout.write(f"\n{selection.reason}\n\n")
    assert selection.run.result is not None
    print_metrics(selection.run.result.metrics)
    say(f"{selection.winner}, saved in {options.out}; next: cliptune predict {options.out} IMAGE...")


def describe_measured(measured: Measured) -> str:
    """The state of a candidate in a line."""
    from cliptune.selection.time_limit import format_time

    if measured.finished:
        return f"{measured.name}: {measured.seconds:.1f} s"
    if measured.problem:
        return f"{measured.name}: cannot be used here: {measured.problem}"
    left = measured.missing_seconds
    more = "no time left" if left is None else f"it would take {format_time(left)} more"
    after = f" after {len(measured.results)} of {measured.folds} folds" if measured.folds > 1 else ""
    return f"{measured.name}: left out{after}, {more}"


def print_leaderboard(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows of the leaderboard on standard output."""
    cells = []
    for row in rows:
        name, parameters, seconds = row["method"], row["parameters"], f"{row['seconds']:.1f}"
        shown = [name, "-", "-", "-", "-", "-" if parameters is None else parameters, seconds]
        if row["finished"]:
            p = "" if row["p"] is None else f"{row['p']:.2g}"
            interval = f"{row['low']:.0f}-{row['high']:.0f}"
            shown[1:5] = [f"{row['accuracy']:.1f}", interval, f"{row['gain']:+.1f}", p]
        cells.append(shown)
    images = next(row["images"] for row in rows if row["finished"])
    head = ("method", "%", "95 %", "vs zeroshot", "p", "parameters", "seconds")
    print_columns(f"leaderboard: accuracy on {images} images of the comparison", head, cells)
