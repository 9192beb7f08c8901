"""The rows of a report that can be asked again, and what they answer on a test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cliptune import experiment, methods, saved
from cliptune.config import Run
from cliptune.data.sound import sound
from cliptune.engine.evaluate import logits
from cliptune.errors import UserError
from cliptune.model import TunedModel
from cliptune.types import Example, Task, TestSet

#: The name of the row that nothing was learned for, where a sweep has none.
UNTUNED = "zero-shot"


@dataclass(frozen=True)
class Rows:
    """Restored models of one task by their label in tables, zero-shot classification always among them.

    untuned: its label. notes: which checkpoints could not be used, and why.
    """

    models: Mapping[str, TunedModel]
    runs: Mapping[str, Run]
    task: Task
    untuned: str
    notes: tuple[str, ...] = ()

    @property
    def preset(self) -> str:
        """Of the views of pictures; the first run's, so that all rows see the same."""
        return next(iter(self.runs.values())).training.augment


@dataclass(frozen=True)
class Answers:
    """What each row says of the examples of a test set: probabilities `(n, C)` by label."""

    name: str
    test: TestSet
    probabilities: Mapping[str, Tensor]

    @property
    def labels(self) -> Tensor:
        """The true classes `(n,)`."""
        return torch.tensor([e.label for e in self.test.examples])


def rows(folders: Mapping[str, Path], allow_code: bool = False) -> Rows:
    """The runs of label -> folder, which must be of one task.

    allow_code: as for `ct.load`. Raises `UserError` where none can be restored.
    """
    models, runs, notes = dict[str, TunedModel](), dict[str, Run](), list[str]()
    for label, folder in folders.items():
        try:
            models[label], runs[label] = saved.restore(folder, allow_code=allow_code)
        except UserError as error:
            notes.append(f"Nothing is shown from the checkpoint of {label}: {error}.")
    if not models:
        raise UserError(f"no checkpoint can be used; {notes[0] if notes else 'there is none'}")
    label, first = next(iter(runs.items()))
    task, _ = sound(saved.own_task(folders[label], first, models[label].classnames))
    untuned = next((label for label, run in runs.items() if methods.name_of(run.method) == "zeroshot"), None)
    if untuned is None:
        untuned, plain = UNTUNED, replace(first, method=methods.get("zeroshot")())
        models, runs = {untuned: experiment.model_of(plain, task), **models}, {untuned: plain, **runs}
    return Rows(models, runs, task, untuned, tuple(notes))


def answers(held: Rows, name: str, limit: int) -> Answers:
    """Answers to the test set `name` of at most `limit` examples of the rows that know its classes."""
    whole = held.task.tests[name]
    test = replace(whole, examples=spread(whole.examples, limit))
    models = {
        label: model.with_classes(test.classnames).eval()
        for label, model in held.models.items()
        if model.takes_other_classes or model.classnames == test.classnames
    }
    asked = {
        label: logits(model, held.task.dataset, test, preset=held.preset)[:, : len(test.classnames)].softmax(-1)
        for label, model in models.items()
    }
    return Answers(name, test, asked)


def spread(examples: Sequence[Example], limit: int) -> tuple[Example, ...]:
    """`limit` of the examples, or all if there are fewer, in their order; always the same.

    Drawn: every second or third would be all of one style in a set that has its styles in turn.
    """
    if len(examples) <= limit:
        return tuple(examples)
    drawn = np.random.Generator(np.random.Philox(key=0)).permutation(len(examples))[:limit]
    return tuple(examples[i] for i in sorted(drawn.tolist()))


def first_of(held: Rows, wanted: Sequence[str]) -> str:
    """The first of the test sets that the task has with pictures in it; else its first."""
    there = [name for name, test in held.task.tests.items() if test.examples]
    return next((name for name in wanted if name in there), there[0])
