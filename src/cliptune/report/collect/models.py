"""The rows of a report that can be asked again, and what they answer on a test set."""

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
from cliptune.types import Example, Task, TestSet

#: The name of the row that nothing was learned for, where a sweep has none.
ZERO_SHOT = "zero-shot"


@dataclass(frozen=True)
class RestoredModels:
    """Restored models of one task by their label in tables, zero-shot classification always among them.

    untuned: its label. notes: which checkpoints could not be used, and why.
    """

    models: Mapping[str, TunedModel]
    runs: Mapping[str, RunConfig]
    task: Task
    untuned: str
    notes: tuple[str, ...] = ()

    @property
    def preset(self) -> str:
        """Of the views of pictures; the first run's, so that all rows see the same."""
        return next(iter(self.runs.values())).training.augment


@dataclass(frozen=True)
class Predictions:
    """What each row says of the examples of a test set: probabilities `(n, C)` by label."""

    name: str
    test: TestSet
    probabilities: Mapping[str, Tensor]

    @property
    def labels(self) -> Tensor:
        """The true classes `(n,)`."""
        return torch.tensor([e.label for e in self.test.examples])


def restore_models(folders: Mapping[str, Path], allow_code: bool = False) -> RestoredModels:
    """The runs of label -> folder, which must be of one task.

    allow_code: as for `ct.load`. Raises `UserError` where none can be restored.
    """
    models, runs, notes = dict[str, TunedModel](), dict[str, RunConfig](), list[str]()
    for label, folder in folders.items():
        try:
            models[label], runs[label] = model_io.load_model(folder, allow_code=allow_code)
        except UserError as error:
            notes.append(f"Nothing is shown from the checkpoint of {label}: {error}.")
    if not models:
        raise UserError(f"no checkpoint can be used; {notes[0] if notes else 'there is none'}")
    label, first = next(iter(runs.items()))
    task, _ = drop_unreadable(model_io.load_task(folders[label], first, models[label].classnames))
    untuned = next((label for label, run in runs.items() if methods.name_of(run.method) == "zeroshot"), None)
    if untuned is None:
        untuned, plain = ZERO_SHOT, replace(first, method=methods.get("zeroshot")())
        models, runs = {untuned: experiment.untrained_model(plain, task), **models}, {untuned: plain, **runs}
    return RestoredModels(models, runs, task, untuned, tuple(notes))


def predict_test_set(held: RestoredModels, name: str, limit: int) -> Predictions:
    """Answers to the test set `name` of at most `limit` examples of the rows that know its classes."""
    whole = held.task.tests[name]
    test = replace(whole, examples=sample_examples(whole.examples, limit))
    models = {
        label: model.with_classes(test.classnames).eval()
        for label, model in held.models.items()
        if model.accepts_new_classes or model.classnames == test.classnames
    }
    asked = {
        label: predict_logits(model, held.task.dataset, test, preset=held.preset)[:, : len(test.classnames)].softmax(-1)
        for label, model in models.items()
    }
    return Predictions(name, test, asked)


def sample_examples(examples: Sequence[Example], limit: int) -> tuple[Example, ...]:
    """`limit` of the examples, or all if there are fewer, in their order; always the same.

    Drawn: every second or third would be all of one style in a set that has its styles in turn.
    """
    if len(examples) <= limit:
        return tuple(examples)
    drawn = np.random.Generator(np.random.Philox(key=0)).permutation(len(examples))[:limit]
    return tuple(examples[i] for i in sorted(drawn.tolist()))


def first_test_set(held: RestoredModels, wanted: Sequence[str]) -> str:
    """The first of the test sets that the task has with pictures in it; else its first."""
    there = [name for name, test in held.task.tests.items() if test.examples]
    return next((name for name in wanted if name in there), there[0])
