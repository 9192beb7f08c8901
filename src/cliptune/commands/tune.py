"""`cliptune tune METHOD`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console

from cliptune import checks, coresets, files, masks, unused_options
from cliptune.backbones.resolve import resolve_backbone
from cliptune.commands.flags import FLAT, given_fields
from cliptune.commands.parse import parse
from cliptune.commands.train import starting_point
from cliptune.config import RunConfig
from cliptune.data import sources
from cliptune.engine.config import MAX_WORKERS
from cliptune.runners.placement import Placement
from cliptune.tuning.space import default_space, parse_space
from cliptune.tuning.study import import_optuna

#: Options that are not part of a preset, for the command that uses one.
NEXT_FLAGS = ("data", "backbone", "pretrained", "shots", "seed", "protocol", "fraction", "selector")


@dataclass(frozen=True)
class Tune:
    """Search for settings of a method with Optuna. Every trial trains with some settings and is scored on images that
    were left out; bad ones end early. Test images are not used. The same command continues an interrupted search.

    Options of train, such as --shots or --epochs, are the same for all trials."""

    run: Annotated[RunConfig, FLAT]
    space: tuple[str, ...] = ()
    """The settings to search, by the names of options: lr=log:1e-4:1e-1 (a range on a logarithmic scale),
    momentum=0.8:0.99, epochs=int:5:40, n_ctx=2,4,8 (a list). By default, the learning rate and the decimal numbers of
    the method, such as weights of losses, around the values of the preset."""
    trials: int = 30
    """Number of trials, including the first one with the settings of the preset."""
    scored_on: Literal["auto", "validation", "folds"] = "auto"
    """Images that trials are scored on: validation images, or cross-validation folds of the training images. auto:
    validation images if the data has a validation split of its own, otherwise folds."""
    folds: int = 5
    """Number of folds."""
    placement: Annotated[Placement, FLAT] = field(default_factory=Placement)
    processes: int = 0
    """Number of trials at a time, each in its own process. 0: one after the other in this process; with ray, as many as
    the cluster has room for. The search can be repeated exactly with one at a time only."""
    out: Path = Path("runs/tune")
    """Folder for the best settings (best.yaml, for --preset), the table of trials (trials.csv), the page (report.html)
    and the state of the search (study.db)."""
    preset: str = "auto"
    """As for train: the settings to start from."""
    config: Path | None = None
    """As for train: start from the configuration of a run."""
    allow_code: bool = False
    """As for train."""

    def __post_init__(self):
        checks.at_least(self, 2, "trials", "folds")
        checks.between(self, 0, MAX_WORKERS, "processes")


def tune(arguments: list[str]) -> None:
    """Search, and print the best settings and the commands that use them."""
    example = "tune coop --data folder:photos --space lr=log:0.01:1"
    name, rest, run, defaults = starting_point(arguments, "tune", example)
    options = parse(Tune, f"tune {name}", rest, Tune(run), defaults)
    run = options.run
    # Mistakes are reported before PyTorch and the backbone are loaded.
    files.check_folder(options.out)
    coresets.parse_selector(run.selector)
    unused_options.check_unused_options([run], given_fields(Tune, rest, Tune(run)))
    space = parse_space(options.space, run) if options.space else default_space(run)
    import_optuna()
    sources.get(run.data, run.reading)
    resolve_backbone(run.backbone, run.pretrained)
    masks.check_spec(run.method.mask_source() or "auto")
    from cliptune.tuning.search import Search, run_search

    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    if not options.space:
        console.print(f"space: {' '.join(map(str, space))} (by default; --space replaces it)")
    search = Search(run, space, options.trials, options.out, options.scored_on, options.folds)
    result = run_search(search, options.placement.build(options.processes), say=console.print)
    console.print(
        f"{len(result.rows)} trials: {result.count('complete')} complete, {result.count('pruned')} pruned, "
        f"{result.count('failed')} failed; {result.split}"
    )
    Console(highlight=False, soft_wrap=True, markup=False).print(
        f"start  {result.default.accuracy:.2f} %  {result.default.settings_text}\n"
        f"best   {result.accuracy:.2f} %  {result.best.settings_text}"
    )
    console.print(
        f"the best of {len(result.rows)} is optimistic, as it was chosen by that number; saved in {options.out}, page: "
        f"{options.out / 'report.html'}"
    )
    flags = [f"--{key} {getattr(run, key)}" for key in NEXT_FLAGS if getattr(run, key) != getattr(RunConfig, key)]
    console.print(f"next: cliptune train {name} {' '.join([*flags, f'--preset {result.preset}'])}")
