"""Restore the models of a report from checkpoints, predict test sets with them, and count their confusions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cliptune import experiment, methods, model_io
from cliptune.config import RunConfig
from cliptune.data.validate import drop_unreadable
from cliptune.engine.evaluate import predict_logits
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.report.confusion import ConfusionCounts
from cliptune.types import Example, Task, TestSet

#: Label of the untuned model if the sweep has none.
ZERO_SHOT = "zero-shot"
#: Whole test sets for which confusion is counted.
WHOLE_TEST_SETS = ("base", "novel", "test")


@dataclass(frozen=True)
class RestoredModels:
    """Restored models of one task by their label in tables, always including zero-shot classification.

    `untuned` is the label of the zero-shot model; `notes` say which checkpoints could not be used and why.
    """

    models: Mapping[str, TunedModel]
    runs: Mapping[str, RunConfig]
    task: Task
    untuned: str
    notes: tuple[str, ...] = ()

    @property
    def preset(self) -> str:
        """Augmentation preset of evaluation views: that of the first run, the same for all models."""
        return next(iter(self.runs.values())).training.augment


@dataclass(frozen=True)
class Predictions:
    """Probabilities `(n, C)` of each model, by label, on the examples of a test set."""

    name: str
    test: TestSet
    probabilities: Mapping[str, Tensor]

    @property
    def labels(self) -> Tensor:
        """True classes `(n,)`."""
        return torch.tensor([e.label for e in self.test.examples])


def restore_models(folders: Mapping[str, Path], allow_code: bool = False) -> RestoredModels:
    """Restore the models of `folders` (label -> run directory), which must be of one task.

    `allow_code` is as in `ct.load`. Raises `UserError` if no model can be restored.
    """
    models, runs, notes = dict[str, TunedModel](), dict[str, RunConfig](), list[str]()
    for label, folder in folders.items():
        try:
            models[label], runs[label] = model_io.load_model(folder, allow_code=allow_code)
        except UserError as error:
            notes.append(f"The checkpoint of {label} was not used: {error}.")
    if not models:
        raise UserError(f"no checkpoint can be used; {notes[0] if notes else 'there is none'}")
    label, first = next(iter(runs.items()))
    task, _ = drop_unreadable(model_io.load_task(folders[label], first, models[label].classnames))
    untuned = next((label for label, run in runs.items() if methods.name_of(run.method) == "zeroshot"), None)
    if untuned is None:
        untuned, plain = ZERO_SHOT, replace(first, method=methods.get("zeroshot")())
        models, runs = {untuned: experiment.untrained_model(plain, task), **models}, {untuned: plain, **runs}
    return RestoredModels(models, runs, task, untuned, tuple(notes))


def predict_test_set(restored: RestoredModels, name: str, limit: int) -> Predictions:
    """Predict at most `limit` examples of the test set `name` with the models that support its classes."""
    whole = restored.task.tests[name]
    test = replace(whole, examples=sample_examples(whole.examples, limit))
    models = {
        label: model.with_classes(test.classnames).eval()
        for label, model in restored.models.items()
        if model.accepts_new_classes or model.classnames == test.classnames
    }
    probabilities = {
        label: predict_logits(model, restored.task.dataset, test, preset=restored.preset)[
            :, : len(test.classnames)
        ].softmax(-1)
        for label, model in models.items()
    }
    return Predictions(name, test, probabilities)


def sample_examples(examples: Sequence[Example], limit: int) -> tuple[Example, ...]:
    """Sample `limit` examples (all if there are fewer) in their order, deterministically.

    Sampling at random avoids the bias of a fixed stride in sets with periodic structure.
    """
    if len(examples) <= limit:
        return tuple(examples)
    indices = np.random.Generator(np.random.Philox(key=0)).permutation(len(examples))[:limit]
    return tuple(examples[i] for i in sorted(indices.tolist()))


def first_test_set(restored: RestoredModels, names: Sequence[str]) -> str:
    """The first of the test sets `names` that has images, else the first of the task that has any."""
    available = [name for name, test in restored.task.tests.items() if test.examples]
    return next((name for name in names if name in available), available[0])


def collect_confusion(restored: RestoredModels, limit: int = 500) -> list[ConfusionCounts]:
    """Count predictions on at most `limit` images of each whole test set, or of the first test set if there is none."""
    available = [name for name, test in restored.task.tests.items() if test.examples]
    chosen = [name for name in WHOLE_TEST_SETS if name in available] or available[:1]
    collected = []
    for name in chosen:
        predictions = predict_test_set(restored, name, limit)
        n = len(predictions.test.classnames)
        counts = {
            label: torch.bincount(predictions.labels * n + probabilities.argmax(1), minlength=n * n).view(n, n).tolist()
            for label, probabilities in predictions.probabilities.items()
        }
        collected.append(ConfusionCounts(name, predictions.test.classnames, restored.untuned, counts))
    return collected
