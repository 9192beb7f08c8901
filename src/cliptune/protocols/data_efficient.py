"""Data-efficient learning: train on a coreset of the training images of every class (introduced with DAPT)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cliptune.data.dataset import Dataset
from cliptune.protocols.few_shot import few_shot
from cliptune.types import Task

#: Fractions of the training images in the published curves.
FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def data_efficient(dataset: Dataset, *, shots: int = 0, seeds: Sequence[int] = (1, 2, 3)) -> Iterator[Task]:
    """The tasks of `few_shot`, by default with all training images.

    The fraction of a run is selected later, before training (`engine.coreset`), as most selectors need the model.
    """
    for task in few_shot(dataset, shots=shots, seeds=seeds):
        yield replace(task, name="data_efficient")
