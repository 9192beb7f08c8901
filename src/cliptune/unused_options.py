"""Refuse options that have no effect in combination with the others of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from cliptune import methods, protocols
from cliptune.config import RunConfig, nested_methods
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

#: Training options that also affect methods without training, as these read images too.
IMAGE_OPTIONS = ("workers", "augment")
#: Fields of `DataConfig` -> the datasets that use them.
SOURCE_OPTIONS = {
    "image_column": ("hub", "csv"),
    "label_column": ("hub", "csv"),
    "label_separator": ("hub", "csv"),
    "raw_names": ("hub", "csv", "folder", "json", "python"),
}


def check_unused_options(runs: Sequence[RunConfig], given: Iterable[str]) -> None:
    """Raise `UserError` for an option that has no effect in any of the runs; warn if it has none in some of them.

    given: Names of fields, or their paths from the run, such as "method.base.n_ctx". Training options warn if no method
    trains; if some methods do, they are meant for these.
    """
    reasons = [find_unused_options(run) for run in runs]
    for name in given:
        short = name.rpartition(".")[2]
        found = [_reason_of(by_path, name) for by_path in reasons]
        stated = [reason for reason in found if reason]
        if stated and None not in found:
            raise UserError(f"{short} has no effect: {stated[0]}")
        if None not in found:
            warn_user(f"{short} has no effect: {methods.name_of(runs[0].method)} trains nothing")
        elif stated:
            without = dict.fromkeys(methods.name_of(run.method) for run, one in zip(runs, found, strict=True) if one)
            warn_user(f"{short} has no effect on {', '.join(without)}: {stated[0]}")


def find_unused_options(run: RunConfig) -> dict[str, str]:
    """Path of each option without effect -> the reason; "" if the reason is that the method trains nothing."""
    found = {}
    if run.fraction == 1:
        why = "fraction is 1, which takes all training images"
        found |= {"selector": why, "selector_variant": why}
    for option in ("targets", "joint"):
        if not protocols.has_option(run.protocol, option):
            have = ", ".join(name for name in protocols.names() if protocols.has_option(name, option))
            found[option] = f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol"
    if run.method.pool:
        found["shots"] = f"{methods.name_of(run.method)} trains on all images of the pool, without their labels"
    source = run.data.partition(":")[0]
    for name, sources in SOURCE_OPTIONS.items():
        if source not in sources:
            found[f"reading.{name}"] = f"it is for {' and '.join(sources)} data, not for {run.data}"
    found |= {f"training.{name}": why for name, why in _unused_settings(run).items()}
    training = run.training
    if not run.method.trains:
        found |= {f"training.{f.name}": "" for f in dataclasses.fields(training) if f.name not in IMAGE_OPTIONS}
        found["evaluate_at"] = ""
    elif training.steps or training.steps_per_shot or training.min_steps:
        pass  # the number of epochs depends on the data
    elif max(run.evaluate_at, default=0) > (last := training.epochs + (run.method.epochs or 0)):
        found["evaluate_at"] = f"training ends after {last} epochs, before epoch {max(run.evaluate_at)}"
    prefix = "method"
    for layer in nested_methods(run.method):
        found |= {f"{prefix}.{name}": why for name, why in layer.unused_fields().items()}
        prefix += ".base"
    return found


def _unused_settings(run: RunConfig) -> dict[str, str]:
    """Training settings without effect -> the reason."""
    training, found = run.training, {}
    if training.optimizer == "sgd":
        found["eps"] = "optimizer is sgd"
    else:
        found["momentum"] = f"optimizer is {training.optimizer}"
    if not training.warmup_epochs:
        found["warmup_lr"] = "warmup_epochs is 0"
    if training.augment != "crop":
        found["crop_scale"] = f"augment is {training.augment}"
    for name in ("steps", "steps_per_shot"):
        if number := getattr(training, name):
            found |= dict.fromkeys(("epochs", "min_steps"), f"{name} is {number}; set it to 0")
    return found


def _reason_of(reasons: dict[str, str], name: str) -> str | None:
    """Why an option has no effect; None if it has one."""
    return next((reason for path, reason in reasons.items() if name in (path, path.rpartition(".")[2])), None)
