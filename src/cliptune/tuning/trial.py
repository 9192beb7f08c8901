"""One trial: train with some settings and measure the accuracy on validation images. Test images are never read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from cliptune import experiment, methods, tasks
from cliptune.backbones.load import cached_backbone
from cliptune.config import RunConfig
from cliptune.data.dataset import Dataset
from cliptune.data.splits import select_labels
from cliptune.engine.trainer import validate
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
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


def validation_task(run: RunConfig, dataset: Dataset | None = None) -> Task:
    """The task of a run with all validation images of its classes, which also are its only test set.

    If the data marks no validation images, a part of the training images of each class is set aside, the same for all
    shots and seeds. dataset: The run's dataset, if it is open already. Raises `UserError` if there are none.
    """
    if run.method.chooses_on_test:
        name = methods.name_of(run.method)
        raise UserError(
            f"{name} chooses its epoch on test images with these settings, so it cannot be tuned; see compat"
        )
    if run.devices > 1:
        raise UserError(f"devices={run.devices}: a trial trains on one device; leave it at 1")
    dataset = (dataset or tasks.open_dataset(run)).with_holdout()
    task = tasks.build_task(run, dataset)
    images = dataset.aside() if dataset.uses_holdout else dataset.examples("val")
    val = select_labels(images, [dataset.classnames.index(name) for name in task.classnames])
    if not val:
        raise UserError(f"{run.data} has no validation images to tune on: mark some as val, or add training images")
    task = replace(task, val=val, tests={"validation": TestSet(val, task.classnames)}, averaged=())
    return tasks.validate_images(run, task)[0]


def run_trial(
    run: RunConfig, task: Task, fabric: Fabric, should_prune: Callable[[int, float], bool] = lambda step, value: False
) -> TrialResult:
    """Train the run on a `validation_task` and validate it. No file is written.

    should_prune: Called with the number of measurements so far and the accuracy in percent; decides whether to stop.
    Raises `Pruned` if so, and `UserError` for settings that cannot be trained.
    """
    started = time.monotonic()
    backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    with backbone.autocast_with(fabric.autocast):
        course = _Course(run, task, should_prune)
        task = experiment.coreset_task(run, task, fabric)
        model, _, _ = experiment.train_stages(run, task, fabric, watchers=[course], measure=course.measure)
        accuracy = validate(model, task, run.training)
    return TrialResult(accuracy, course.found, time.monotonic() - started)


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
