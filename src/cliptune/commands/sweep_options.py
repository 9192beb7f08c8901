"""The options of `cliptune run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from cliptune import checks, methods
from cliptune.backbones.bundled import AUTO
from cliptune.commands.config_file import configured_run
from cliptune.commands.execution import Execution
from cliptune.commands.flags import FLAT, Flag
from cliptune.commands.parse import parse_known
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.errors import UserError


@dataclass(frozen=True)
class Sweep:
    """Run a protocol for several methods, datasets and seeds. Repeat the command to execute only the missing runs.

    Other flags of train, such as --lr, --batch-size or --n-ctx, apply to every method that has them and override its
    preset. Several values make a grid: --lr 0.01 0.02 --n-ctx 2 4 are four runs per method, data and seed. For a flag
    that takes several numbers, commas join those of one run: --layers 1,2 3,4."""

    methods: tuple[str, ...] = ("zeroshot", "coop", "maple", "coop+dapt", "maple+dapt")
    """Names of methods; wrappers are joined by +."""
    data: tuple[str, ...] = ("emoji",)
    """One or several datasets, as for train: emoji (bundled), folder:PATH with one folder per class, or public datasets
    by name with --root; benchmarks11 stands for the eleven datasets of the published few-shot tables."""
    targets: tuple[str, ...] = ()
    """cross-dataset and domain-generalization: additional test data, as for --data, or styles of the bundled drawings.
    By default, those of the papers (imagenet) or the styles that are not in the training data (emoji)."""
    backbone: str = AUTO
    """As for train."""
    pretrained: str = ""
    """As for train."""
    shots: tuple[int, ...] = ()
    """Training images per class, one number or several; 0 uses all. By default, 1 2 4 8 16 for few-shot, all for
    data-efficient, 16 otherwise."""
    fractions: tuple[float, ...] = ()
    """Shares of the training images that selectors choose. By default, 0.05 0.1 0.2 0.3 0.5 1 for data-efficient, all
    otherwise."""
    selectors: tuple[str, ...] = ("uniform",)
    """Coreset methods, each applied for every share below 1: uniform, herding, ...; options follow a comma:
    uncertainty,measure=entropy."""
    joint: bool = False
    """base-to-novel: also classify base and novel images among all classes."""
    evaluate_at: tuple[int, ...] = ()
    """Also test after these epochs, without changing the training."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """One run per seed and method."""
    epochs: tuple[int, ...] = ()
    """Epochs of every run, one number or several; by default (or 0), those of each method's preset."""
    out: Path = Path("runs/sweep")
    """Output folder: one subfolder per method and seed, and per dataset, number of shots and coreset if there are
    several."""
    preset: str = "auto"
    """As for train."""
    config: Path | None = None
    """The config.yaml of a run, or its folder: run that method with those data and settings, except for the options
    given here. --seeds stays 1 2 3 by default."""
    allow_code: bool = False
    """As for train."""
    log: tuple[str, ...] = ()
    """As for train, in the folder of each run."""
    reading: Annotated[DataConfig, FLAT] = field(default_factory=DataConfig)
    execution: Annotated[Execution, FLAT] = field(default_factory=Execution)

    def __post_init__(self):
        checks.at_least(self, 0, "shots", "epochs")
        checks.at_least(self, 1, "evaluate_at")
        checks.between(self, sys.float_info.min, 1, "fractions", range_text="above 0 and at most 1")
        checks.seeds(self, "seeds")
        checks.not_empty(self, "methods", "data", "seeds", "selectors")
        checks.no_duplicates(self, "methods", "data", "seeds", "shots", "epochs", "fractions", "selectors", "targets")


def parse_sweep(name: str, arguments: Sequence[str]) -> tuple[Sweep, list[Flag]]:
    """The flags of `Sweep`, and the others. name: The protocol."""
    run = configured_run("", f"run {name}", arguments)
    options, flags = parse_known(Sweep, f"run {name}", arguments, run and _sweep_of(run, name))
    if run and options.methods != (in_file := (methods.name_of(run.method),)):
        raise UserError(
            f"{options.config} is a configuration of {in_file[0]}, not of {' '.join(options.methods)}; leave "
            f"--methods or --config out"
        )
    return options, flags


def _sweep_of(run: RunConfig, name: str) -> Sweep:
    """The sweep of one run with default seeds. Options of its protocol are kept if `name` is that protocol."""
    same = run.protocol.replace("-", "_") == name.replace("-", "_")
    own = {key: getattr(run, key) for key in ("targets", "joint") if same}
    chosen = {"fractions": (run.fraction,), "selectors": (run.selector,)} if run.fraction < 1 else {}
    return Sweep(
        methods=(methods.name_of(run.method),),
        data=(run.data,),
        backbone=run.backbone,
        pretrained=run.pretrained,
        shots=(run.shots,),
        evaluate_at=run.evaluate_at,
        reading=run.reading,
        **own,
        **chosen,
    )
