"""All classes, and of their training pictures a part that a selector chooses (DAPT's data-efficient protocol)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cliptune.data.dataset import Dataset
from cliptune.protocols.few_shot import few_shot
from cliptune.types import Task

#: The shares of the training pictures in the published curves.
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def data_efficient(dataset: Dataset, *, shots: int = 0, seeds: Sequence[int] = (1, 2, 3)) -> Iterator[Task]:
    """One task a seed, few_shot's, with all training pictures unless `shots` says otherwise.

    A run's `fraction` of them is chosen before training (`engine.coreset`), as most selectors ask the model.
    """
    for task in few_shot(dataset, shots=shots, seeds=seeds):
        yield replace(task, name="data_efficient")
