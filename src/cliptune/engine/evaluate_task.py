"""A model on all test sets of a task, at the end and on the way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliptune.data.validate import drop_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import compute_metrics, predict_logits
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Task


def evaluate_task(
    model: TunedModel, task: Task, watchers: Sequence[Watcher] = (), training: TrainConfig | None = None
) -> dict[str, float]:
    """Metrics in percent on each of the task's test sets whose classes the model can tell apart (see `scores`), and
    "average" over those of `task.averaged`.

    training: whose views and workers are taken. Raises `UserError` that names pictures that cannot be read, and where
    there is no test image.
    """
    task, _ = drop_unreadable(replace(task, train=(), val=()), progress_callback(watchers, "looking at files"))
    tests = {name: test for name, test in task.tests.items() if test.examples}
    if not tests:
        raise UserError(f"{task.dataset.name} has no test images; name other data to be measured on (--data)")
    if not model.accepts_new_classes:
        left = [name for name, test in tests.items() if test.classnames != model.classnames]
        if left:
            warnings.warn(
                f"not tested on {', '.join(left)}: {type(model.method).__name__} learned something of its own for each "
                f"class, so it cannot take other class names",
                stacklevel=2,
            )
        tests = {name: test for name, test in tests.items() if name not in left}
    done, total, tell = 0, sum(len(test.examples) for test in tests.values()), progress_callback(watchers, "testing")

    def tick(images: int) -> None:
        nonlocal done
        done += images
        tell(done, total)

    training, found = training or TrainConfig(), dict[str, float]()
    how: dict[str, Any] = {"preset": training.augment, "workers": training.workers, "tick": tick}
    for name, test in tests.items():
        found |= compute_metrics(predict_logits(model, task.dataset, test, **how), test, name)
    averaged = [found[name] for name in task.averaged if name in found]
    if averaged and len(averaged) == len(task.averaged):
        found["average"] = sum(averaged) / len(averaged)
    return found


def evaluate_at_epochs(
    epochs: Sequence[int], model: TunedModel, task: Task, training: TrainConfig, before: int
) -> Callable[[int], dict[str, float]]:
    """What `fit` asks after each epoch: at those of `epochs`, counted from 1, metrics for its row as "@base".

    before: epochs of earlier stages.
    """

    def look(epoch: int) -> dict[str, float]:
        if before + epoch + 1 not in epochs:
            return {}
        with warnings.catch_warnings():  # what a model cannot be tested on is said at the end
            warnings.simplefilter("ignore")
            return {f"@{name}": value for name, value in evaluate_task(model, task, (), training).items()}

    return look


def intermediate_metrics(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metrics that rows of epochs have, by name: "@base" of the fifth is "base@5"."""
    return {
        f"{name[1:]}@{int(row['epoch']) + 1}": value
        for row in history
        for name, value in row.items()
        if name.startswith("@")
    }
