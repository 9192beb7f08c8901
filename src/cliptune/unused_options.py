"""Options that have no effect beside the others of a run: refused where they are given."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence

from cliptune import methods, protocols
from cliptune.config import RunConfig, nested_methods
from cliptune.errors import UserError

#: Fields of a training that read images, which methods that train nothing do as well.
IMAGE_OPTIONS = ("workers", "augment")
#: Fields of `Reading` -> the sources of data that look at them.
SOURCE_OPTIONS = {
    "image_column": ("hub", "csv"),
    "label_column": ("hub", "csv"),
    "label_separator": ("hub", "csv"),
    "raw_names": ("hub", "csv", "folder", "json", "python"),
}


def check_unused_options(runs: Sequence[RunConfig], given: Iterable[str]) -> None:
    """Raise `UserError` for one of the options `given` that can act in none of the runs; warn of one that acts in some.

    given: names of fields, or their paths from the run such as method.base.n_ctx. Settings of a training only warn
    where no method trains anything, and are taken as meant for the others where some do.
    """
    reasons = [find_unused_options(run) for run in runs]
    for name in given:
        short = name.rpartition(".")[2]
        whys = [_reason_of(held, name) for held in reasons]
        said = [why for why in whys if why]
        if said and None not in whys:
            raise UserError(f"{short} has no effect: {said[0]}")
        if None not in whys:
            warnings.warn(f"{short} has no effect: {methods.name_of(runs[0].method)} trains nothing", stacklevel=2)
        elif said:
            without = dict.fromkeys(methods.name_of(run.method) for run, why in zip(runs, whys, strict=True) if why)
            warnings.warn(f"{short} has no effect on {', '.join(without)}: {said[0]}", stacklevel=2)


def find_unused_options(run: RunConfig) -> dict[str, str]:
    """Path of each option that has no effect -> the reason, "" where it is that the method trains nothing."""
    found = {}
    if run.fraction == 1:
        why = "fraction is 1, which takes all training images"
        found |= {"selector": why, "selector_variant": why}
    for option in ("targets", "joint"):
        if not protocols.has_option(run.protocol, option):
            have = ", ".join(name for name in protocols.names() if protocols.has_option(name, option))
            found[option] = f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol"
    source = run.data.partition(":")[0]
    for name, sources in SOURCE_OPTIONS.items():
        if source not in sources:
            found[f"reading.{name}"] = f"it is for {' and '.join(sources)} data, not for {run.data}"
    training = run.training
    if training.optimizer == "adamw":
        found["training.momentum"] = "optimizer is adamw"
    if not training.warmup_epochs:
        found["training.warmup_lr"] = "warmup_epochs is 0"
    if not run.method.trains:
        found |= {f"training.{f.name}": "" for f in dataclasses.fields(training) if f.name not in IMAGE_OPTIONS}
        found["evaluate_at"] = ""
    elif max(run.evaluate_at, default=0) > (last := training.epochs + (run.method.epochs or 0)):
        found["evaluate_at"] = f"training ends after {last} epochs, before epoch {max(run.evaluate_at)}"
    prefix = "method"
    for layer in nested_methods(run.method):
        found |= {f"{prefix}.{name}": why for name, why in layer.unused_fields().items()}
        prefix += ".base"
    return found


def _reason_of(held: dict[str, str], name: str) -> str | None:
    """Why an option has no effect; None where it has one."""
    return next((why for path, why in held.items() if name in (path, path.rpartition(".")[2])), None)
