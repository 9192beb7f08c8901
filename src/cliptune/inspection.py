"""Predictions for the images of a run: its test images, or all images of its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cliptune import experiment
from cliptune.analysis.inspection import Inspection
from cliptune.analysis.split_predictions import SplitPredictions, SplitProbabilities, joined, log_softmax
from cliptune.config import RunConfig
from cliptune.data.targets import labels_in
from cliptune.engine import coreset
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.run_dir import CORESET
from cliptune.types import Example, Task, TestSet
from cliptune.user_warnings import warn_user

#: Splits of a run's data besides its test sets: images that it was trained on, validation images, and training images
#: that were not drawn.
TRAIN, VAL, UNUSED = "train", "val", "unused"


def inspect_task(
    model: TunedModel, run: RunConfig, task: Task, watchers: Sequence[Watcher] = (), temperature: float = 1.0
) -> Inspection:
    """Predict the test sets of a task.

    temperature: Divides the logits of test sets with the classes of training. A warning names the others.

    Raises:
        UserError: As `evaluate_task`.
    """
    batches: dict[str, list[SplitPredictions]] = {}
    plain: dict[str, list[SplitPredictions]] = {}
    others: list[str] = []

    def collect(name: str, test: TestSet) -> Callable[[Tensor], None]:
        batches[name], fits = [], test.classnames == model.classnames
        if temperature == 1 or not fits:
            others.extend([name] * (temperature != 1))
            return _each_batch(name, test, lambda part: batches[name].append(part.predictions))
        plain[name] = []

        def receive(part: SplitProbabilities) -> None:
            plain[name].append(part.predictions)
            batches[name].append(part.scaled(temperature).predictions)

        return _each_batch(name, test, receive)

    metrics = experiment.evaluate_task(model, task, watchers, run.training, collect)
    if others:
        warn_user(
            f"the temperature was fitted for other classes than those of {', '.join(others)}, whose probabilities are "
            f"unchanged"
        )
    uncalibrated = {name: joined(parts) for name, parts in plain.items()}
    return Inspection(metrics, tuple(map(joined, batches.values())), dict.fromkeys(plain, temperature), uncalibrated)


def predict_probabilities(
    model: TunedModel, run: RunConfig, task: Task, watchers: Sequence[Watcher] = ()
) -> list[SplitProbabilities]:
    """The probabilities of all classes for the test sets of a task, which all are in memory.

    Raises:
        UserError: As `evaluate_task`.
    """
    splits = []

    def collect(name: str, test: TestSet) -> Callable[[Tensor], None]:
        batches: list[Tensor] = []
        splits.append((name, test, batches))
        return batches.append

    experiment.evaluate_task(model, task, watchers, run.training, collect)
    return [split_probabilities(name, test, torch.cat(batches)) for name, test, batches in splits]


def split_probabilities(name: str, test: TestSet, logits: Tensor) -> SplitProbabilities:
    """The probabilities of a test set from its logits `(n, columns)`, of which those beyond the classes are left
    out."""
    return _probabilities(name, test, test.examples, logits)


def _each_batch(name: str, test: TestSet, use: Callable[[SplitProbabilities], None]) -> Callable[[Tensor], None]:
    """A function that receives the logits of a test set batch by batch, and calls `use` with their probabilities."""
    rest = iter(test.examples)
    return lambda logits: use(_probabilities(name, test, tuple(islice(rest, len(logits))), logits))


def _probabilities(name: str, test: TestSet, examples: Sequence[Example], logits: Tensor) -> SplitProbabilities:
    return SplitProbabilities(
        split=name,
        classnames=test.classnames,
        paths=tuple(str(e.path or e.key) for e in examples),
        labels=tuple(labels_in(e) for e in examples),
        log_probabilities=log_softmax(np.asarray(logits[:, : len(test.classnames)])),
    )


def with_all_images(run: RunConfig, task: Task, folder: Path | None) -> Task:
    """The task of a run with all images of its data as test sets: its own, and `TRAIN`, `VAL` and `UNUSED`.

    folder: The run directory, which contains the coreset of a run with a fraction of the images.

    Raises:
        UserError: If the task does not train on all classes with labels, or its coreset is missing.
    """
    if task.pool or task.classnames != task.dataset.classnames:
        raise UserError(
            f"predictions of all images need a run that trains on labelled images of all classes, not {run.protocol}"
            f"{' with an unlabelled pool' * task.pool}; leave out --all-images (all_images)"
        )
    if run.fraction < 1:
        chosen = folder and coreset.read_coreset(folder / CORESET, None, task)
        if not chosen:
            raise UserError(f"the run's selection of training images, {CORESET}, is missing; train it again")
        task = replace(task, train=chosen.train)
    seen = {e.key for test in task.tests.values() if test.dataset is None for e in test.examples}
    tests = dict(task.tests)
    parts: dict[str, Sequence[Example]] = {TRAIN: task.train, VAL: task.val}
    parts[UNUSED] = (*task.dataset.examples("train"), *task.dataset.examples("val"))
    for name, examples in parts.items():
        fresh = {e.key: e for e in examples if e.key not in seen}
        seen |= fresh.keys()
        tests[name] = TestSet(tuple(fresh.values()), task.classnames)
    return replace(task, tests=tests)
