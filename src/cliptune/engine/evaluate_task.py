"""Evaluation on all test sets of a task, after training or at chosen epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from cliptune.data.validate import drop_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import predict_batches
from cliptune.engine.metrics import Metrics
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Task, TestSet
from cliptune.user_warnings import warn_user


def evaluate_task(
    model: TunedModel,
    task: Task,
    watchers: Sequence[Watcher] = (),
    training: TrainConfig | None = None,
    collect: Callable[[str, TestSet], Callable[[Tensor], None]] | None = None,
) -> dict[str, float]:
    """Metrics in percent on each test set of a task (see `Metrics`), and "average" over those of `task.averaged`.

    Test sets with class names that the model cannot accept are left out with a warning.

    training: Provides the evaluation view and the number of workers. collect: Called with the name and the readable
    images of each test set; the function that it returns is called with the logits `(b, columns)` of each batch. Raises
    `UserError` that names unreadable images, and if the task has no test images.
    """
    task, _ = drop_unreadable(replace(task, train=(), val=()), progress_callback(watchers, "checking images"))
    tests = _accepted_tests(model, task)
    done, total = 0, sum(len(test.examples) for test in tests.values())
    report = progress_callback(watchers, "testing")

    def tick(images: int) -> None:
        nonlocal done
        done += images
        report(done, total)

    training, metrics = training or TrainConfig(), dict[str, float]()
    for name, test in tests.items():
        own, receive = Metrics(test, name), None if collect is None else collect(name, test)
        options = {"preset": training.augment, "workers": training.workers, "tick": tick}
        for logits in predict_batches(model, task.dataset, test, **options):
            own.add(logits)
            if receive is not None:
                receive(logits)
        metrics |= own.compute()
    averaged = [metrics[name] for name in task.averaged if name in metrics]
    if averaged and len(averaged) == len(task.averaged):
        metrics["average"] = sum(averaged) / len(averaged)
    return metrics


def _accepted_tests(model: TunedModel, task: Task) -> dict[str, TestSet]:
    """The test sets that have images and class names that the model accepts."""
    tests = {name: test for name, test in task.tests.items() if test.examples}
    if not tests:
        raise UserError(f"{task.dataset.name} has no test images; pass other data to test on (--data)")
    if model.accepts_new_classes:
        return tests
    others = [name for name, test in tests.items() if test.classnames != model.classnames]
    if others:
        warn_user(
            f"not tested on {', '.join(others)}: {type(model.method).__name__} has learned parameters per class, so it "
            f"does not accept other class names"
        )
    return {name: test for name, test in tests.items() if name not in others}


def evaluate_at_epochs(
    epochs: Sequence[int], model: TunedModel, task: Task, training: TrainConfig, before: int
) -> Callable[[int], dict[str, float]]:
    """A callback for `fit` that evaluates the task after `epochs`, counted from 1.

    The metric "base" is "@base" in the row of the epoch. before: Number of epochs of earlier stages.
    """

    def after_epoch(epoch: int) -> dict[str, float]:
        if before + epoch + 1 not in epochs:
            return {}
        with warnings.catch_warnings():  # the final evaluation repeats them
            warnings.simplefilter("ignore")
            return {f"@{name}": value for name, value in evaluate_task(model, task, (), training).items()}

    return after_epoch


def intermediate_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metrics measured during training, by name: "@base" in the row of the fifth epoch is "base@5"."""
    return {
        f"{name[1:]}@{int(row['epoch']) + 1}": value
        for row in history
        for name, value in row.items()
        if name.startswith("@")
    }
