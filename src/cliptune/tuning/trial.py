"""One trial: train with some settings and measure the accuracy on images left out. Test images are never read."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightning_fabric import Fabric

from cliptune import experiment, methods, tasks
from cliptune.backbones.load import cached_backbone
from cliptune.config import RunConfig, with_options
from cliptune.data.dataset import Dataset
from cliptune.data.splits import select_labels
from cliptune.engine.trainer import validate
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.selection.split import ScoredOn, split_task
from cliptune.tuning.study import Outcome
from cliptune.types import Task, TestSet

#: Number of times that accuracy is measured in the course of a training, the end included.
MEASUREMENTS = 8


@dataclass(frozen=True)
class TrialResult:
    """Validation accuracy in percent: after training, and by the number of measurements so far."""

    accuracy: float
    course: Mapping[int, float]
    seconds: float


class Pruned(Exception):
    """Ends a trial that is worse than others were at the same share of their training."""


@dataclass(frozen=True)
class Validation:
    """The images that trials are scored on. task: With them all as `val`. folds: A task each, with those of the fold as
    `val`; one if there is no cross-validation. words: The split in words."""

    task: Task
    folds: tuple[Task, ...]
    words: str

    @property
    def images(self) -> int:
        """Number of images that are scored."""
        return sum(len(fold.val) for fold in self.folds)

    @property
    def digest(self) -> str:
        """A hash of the images of all folds and of their labels."""
        images = [[(e.key, e.label) for part in (fold.train, fold.val) for e in part] for fold in self.folds]
        return hashlib.sha256(repr(images).encode(errors="surrogateescape")).hexdigest()[:12]


def validation_of(
    run: RunConfig, dataset: Dataset | None = None, scored_on: ScoredOn = "auto", folds: int = 5
) -> Validation:
    """The images of a run's data to score trials on, which are never test images (see `split_task`).

    dataset: The run's dataset, if it is open already. Raises `UserError` if there are none.
    """
    if run.method.chooses_on_test:
        name = methods.name_of(run.method)
        raise UserError(f"{name} chooses its epoch on test images with these settings; tune it with others (compat)")
    if run.devices > 1:
        raise UserError(f"devices={run.devices}: a trial trains on one device; leave it at 1")
    scored_on = "validation" if run.method.pool else scored_on  # folds need the labels of the training images
    dataset = dataset or tasks.open_dataset(run)
    dataset = dataset.with_holdout() if scored_on == "validation" else dataset
    task = tasks.build_task(run, dataset)
    images = task.dataset.aside() if task.dataset.uses_holdout else dataset.examples("val")
    val = select_labels(images, [dataset.classnames.index(name) for name in task.classnames])
    task = replace(task, val=val, tests={"validation": TestSet(val or task.train, task.classnames)}, averaged=())
    task, _ = tasks.validate_images(run, task)
    if run.method.pool:
        if not task.val:
            raise UserError(f"{run.data} has no validation images, which a method on a pool needs; mark some as val")
        return Validation(task, (task,), f"{len(task.val)} validation images")
    split = split_task(task, scored_on, folds)
    if not split.compares:
        raise UserError(f"{run.data} cannot be tuned on: {split.words}; add images")
    parts = [
        replace(task, train=fold.train, val=fold.scored, tests={"validation": TestSet(fold.scored, task.classnames)})
        for fold in split.folds
    ]
    return Validation(task, tuple(parts), split.words)


def run_trial(
    run: RunConfig,
    validation: Validation,
    fabric: Fabric,
    should_prune: Callable[[int, float], bool] = lambda step, value: False,
) -> TrialResult:
    """Train the run and score it, on each fold if there are several. No file is written.

    should_prune: Called with the number of measurements so far and the accuracy in percent; decides whether to stop.
    Raises `Pruned` if so, and `UserError` for settings that cannot be trained.
    """
    started = time.monotonic()
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    right, images, found = 0.0, 0, dict[int, float]()
    with backbone.autocast_with(fabric.autocast):
        for number, fold in enumerate(validation.folds, 1):
            course = _Course(run, fold, should_prune)
            task = experiment.coreset_task(run, fold, fabric)
            measured = {} if len(validation.folds) > 1 else {"watchers": [course], "measure": course.measure}
            model, _, _ = experiment.train_stages(run, task, fabric, **measured)
            right += len(fold.val) * validate(model, task, run.training)
            images += len(fold.val)
            found |= course.found
            if number < len(validation.folds):
                found[number] = right / images
                if should_prune(number, found[number]):
                    raise Pruned
    return TrialResult(right / images, found, time.monotonic() - started)


def attempt_trial(
    run: RunConfig,
    settings: Mapping[str, Any],
    validation: Validation,
    fabric: Fabric,
    should_prune: Callable[[int, float], bool],
) -> Outcome:
    """Execute a trial and return how it ended. Warnings are those of the first trial, so they are not repeated.

    run: The run that the search starts from. settings: Those that the trial changes.
    """
    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = run_trial(with_options(run, settings), validation, fabric, should_prune)
    except Pruned:
        return Outcome("pruned", time.monotonic() - started)
    except Exception as error:  # settings may exceed the memory, or make the loss infinite
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        reason = next(iter(reason.splitlines()), type(error).__name__)
        return Outcome("failed", time.monotonic() - started, reason=reason)
    return Outcome("complete", result.seconds, result.accuracy)


class _Course(Watcher):
    """Measures accuracy at equal shares of the training, so that trials of different length are comparable."""

    def __init__(self, run: RunConfig, task: Task, should_prune: Callable[[int, float], bool]):
        self.run, self.task, self.should_prune = run, task, should_prune
        self.epochs, self.stage = 1, -1
        self.found: dict[int, float] = {}

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.epochs, self.stage = epochs, self.stage + 1

    def measure(self, model: TunedModel, epoch: int) -> Mapping[str, float]:
        """Validate the model if an eighth of the epochs was completed, but for the last."""
        before, share = (done * MEASUREMENTS // self.epochs for done in (epoch, epoch + 1))
        if share > before and epoch + 1 < self.epochs:
            step = self.stage * MEASUREMENTS + share
            self.found[step] = validate(model, self.task, self.run.training)
            if self.should_prune(step, self.found[step]):
                raise Pruned
        return {}
