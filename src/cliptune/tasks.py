"""The task of a run: its protocol on its data, and what is found by looking at the images before training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cliptune import masks, protocols
from cliptune.config import Run
from cliptune.data import aside, doubles, sources
from cliptune.data.dataset import Dataset
from cliptune.data.sound import sound
from cliptune.engine import coreset, untested
from cliptune.engine.watchers import Watcher, watched
from cliptune.errors import UserError
from cliptune.masks.survey import masked
from cliptune.types import Task


def dataset_of(run: Run) -> Dataset:
    """The dataset of a run; a folder is looked through anew, as its pictures may have changed."""
    return sources.get(run.data, run.reading)


def task_of(run: Run, dataset: Dataset | None = None) -> Task:
    """The one task of a run: its protocol on its data, with its shots and seed.

    dataset: the run's own, where the caller has opened it already.
    """
    more: dict[str, Any] = {}
    for option in ("targets", "joint"):
        if protocols.takes(run.protocol, option):
            more[option] = getattr(run, option)
        elif getattr(run, option):
            have = ", ".join(name for name in protocols.names() if protocols.takes(name, option))
            raise UserError(f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol")
    dataset = dataset or dataset_of(run)
    dataset = aside.validating(dataset) if asks_validation(run) else dataset
    return next(iter(protocols.get(run.protocol)(dataset, shots=run.shots, seeds=(run.seed,), **more)))


def asks_validation(run: Run) -> str:
    """What in a run looks at validation images, in words; "" where nothing does."""
    if run.training.keep == "best" and run.method.trains:
        return "keep=best"
    chooses = run.fraction < 1 and coreset.validates(run.selector)
    return run.method.validates or (f"selector={run.selector}" if chooses else "")


def looked_at(run: Run, task: Task, watchers: Sequence[Watcher] = ()) -> tuple[Task, dict[str, Any]]:
    """The task without images that are left out, and what its record says of them: `left_out` and `duplicates`.

    Raises `UserError` where there is nothing to train or to test on, and for images that cannot be read.
    """
    if not task.train and run.method.trains:
        raise UserError(
            f"{run.data} has no training pictures, it is there to test on: tune on another dataset (imagenet), then "
            f"cliptune evaluate RUN --data {run.data}"
        )
    task, left_out = sound(task, watched(watchers, "looking at files"))
    if task.dataset.reading.skip_bad and (spec := run.method.masks()):
        task, unmasked = masked(task, masks.get("data" if spec == "auto" else spec, task.seed))
        left_out |= unmasked
    untested.check(task, run.data)
    twice = doubles.check(task, run.data)
    aside.note(task.dataset, asks_validation(run), run.data)
    return task, {name: held for name, held in (("left_out", left_out), ("duplicates", twice)) if held}
