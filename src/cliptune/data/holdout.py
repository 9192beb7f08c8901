"""Validation images taken from training, for what looks at some where the data marks none."""

from __future__ import annotations

import copy
import warnings

from cliptune.data.dataset import Dataset
from cliptune.data.splits import count_classes


def with_holdout(dataset: Dataset) -> Dataset:
    """The dataset with its examples `aside` for validation instead of training; as it is where there are none."""
    if not dataset.aside():
        return dataset
    dataset = copy.copy(dataset)
    dataset.uses_holdout = True
    return dataset


def warn_of_holdout(dataset: Dataset, asks: str, data: str) -> None:
    """Warn of how many training images of a `validating` dataset are set aside.

    asks: what looks at validation images. data: what the run calls its data.
    """
    aside = count_classes(dataset.aside()) if dataset.uses_holdout else {}
    if not aside:
        return
    left, (label, spared) = dataset.sizes(), max(aside.items(), key=lambda item: item[1])
    every, own = sum(left.values()) + sum(aside.values()), left.get(label, 0) + spared
    warnings.warn(
        f"{asks} needs validation images, and {data} marks none: {sum(aside.values())} of {every} training images are "
        f"set aside for it ({spared} of the {own} of class {dataset.classnames[label]!r}); mark some as val to choose "
        f"them" + (", or train on all of them with keep=last" if asks == "keep=best" else ""),
        stacklevel=3,
    )
