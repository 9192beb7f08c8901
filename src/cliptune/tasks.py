"""The task of a run: its protocol on its data, and what is found by looking at the images before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cliptune import masks, protocols
from cliptune.config import RunConfig
from cliptune.data import duplicates, holdout, sources
from cliptune.data.dataset import Dataset
from cliptune.data.validate import drop_unreadable
from cliptune.engine import coreset, untested_classes
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.masks.validate import drop_unusable
from cliptune.types import Task


def open_dataset(run: RunConfig) -> Dataset:
    """The dataset of a run; a folder is looked through anew, as its pictures may have changed."""
    return sources.get(run.data, run.reading)


def build_task(run: RunConfig, dataset: Dataset | None = None) -> Task:
    """The one task of a run: its protocol on its data, with its shots and seed.

    dataset: the run's own, where the caller has opened it already.
    """
    more: dict[str, Any] = {}
    for option in ("targets", "joint"):
        if protocols.has_option(run.protocol, option):
            more[option] = getattr(run, option)
        elif getattr(run, option):
            have = ", ".join(name for name in protocols.names() if protocols.has_option(name, option))
            raise UserError(f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol")
    dataset = dataset or open_dataset(run)
    dataset = holdout.with_holdout(dataset) if validation_use(run) else dataset
    return next(iter(protocols.get(run.protocol)(dataset, shots=run.shots, seeds=(run.seed,), **more)))


def validation_use(run: RunConfig) -> str:
    """What in a run looks at validation images, in words; "" where nothing does."""
    if run.training.keep == "best" and run.method.trains:
        return "keep=best"
    chooses = run.fraction < 1 and coreset.uses_validation(run.selector)
    return run.method.validation_use or (f"selector={run.selector}" if chooses else "")


def validate_images(run: RunConfig, task: Task, watchers: Sequence[Watcher] = ()) -> tuple[Task, dict[str, Any]]:
    """The task without images that are left out, and what its record says of them: `left_out` and `duplicates`.

    Raises `UserError` where there is nothing to train or to test on, and for images that cannot be read.
    """
    if not task.train and run.method.trains:
        raise UserError(
            f"{run.data} has no training pictures, it is there to test on: tune on another dataset (imagenet), then "
            f"cliptune evaluate RUN --data {run.data}"
        )
    task, left_out = drop_unreadable(task, progress_callback(watchers, "looking at files"))
    if task.dataset.reading.skip_bad and (spec := run.method.masks()):
        task, unmasked = drop_unusable(task, masks.get("data" if spec == "auto" else spec, task.seed))
        left_out |= unmasked
    untested_classes.check_test_images(task, run.data)
    twice = duplicates.warn_of_duplicates(task, run.data)
    holdout.warn_of_holdout(task.dataset, validation_use(run), run.data)
    return task, {name: held for name, held in (("left_out", left_out), ("duplicates", twice)) if held}
