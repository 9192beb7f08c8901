"""Labels and class names of dataset objects, read without decoding images if the dataset stores them separately."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from cliptune.errors import UserError

#: Attributes in which torchvision's and similar datasets store labels: a list of labels, or of (path, label).
LABEL_ATTRIBUTES = ("targets", "labels", "_labels", "samples", "_samples", "imgs", "y")


def base_dataset(dataset: Any) -> Any:
    """The dataset inside subsets and concatenations."""
    from torch.utils.data import ConcatDataset, Subset

    while isinstance(dataset, (Subset, ConcatDataset)):
        dataset = dataset.dataset if isinstance(dataset, Subset) else dataset.datasets[0]
    return dataset


def stored_classnames(dataset: Any) -> list[str] | None:
    """The class names that a dataset stores, or None."""
    for attribute in ("classes", "categories"):
        names = getattr(base_dataset(dataset), attribute, None)
        if isinstance(names, (list, tuple)) and names and all(isinstance(name, str) for name in names):
            return list(names)
    return None


def read_labels(dataset: Any, what: str) -> list[int]:
    """The label of each item, in order. Raises `UserError` if it is not a sequence of (image, label)."""
    try:
        count = len(dataset)
        dataset.__getitem__  # noqa: B018
    except (TypeError, AttributeError, NotImplementedError):
        raise UserError(
            f"{what} is a {type(dataset).__name__}; expected a torch dataset or a sequence that has a length and items"
        ) from None
    if not count:
        raise UserError(f"{what} is empty")
    return _stored_labels(dataset, what) or [_label(_item(dataset, i, what)[1], i, what) for i in range(count)]


def _stored_labels(dataset: Any, what: str) -> list[int] | None:
    """Labels stored separately from images, if they agree with the first and last item; None otherwise."""
    from torch.utils.data import ConcatDataset, Subset, TensorDataset

    if isinstance(dataset, Subset):
        inner = _stored_labels(dataset.dataset, what)
        return None if inner is None else [inner[i] for i in dataset.indices]
    if isinstance(dataset, ConcatDataset):
        pieces = [_stored_labels(piece, what) for piece in dataset.datasets]
        return None if any(piece is None for piece in pieces) else [label for piece in pieces for label in piece or ()]
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) > 1:
        return [_label(label, i, what) for i, label in enumerate(dataset.tensors[1].tolist())]
    change = getattr(dataset, "target_transform", None) or (lambda label: label)
    for attribute in LABEL_ATTRIBUTES:
        try:
            rows = getattr(dataset, attribute)
            rows = rows.tolist() if hasattr(rows, "tolist") else list(rows)
            labels = [operator.index(change(row[1] if isinstance(row, (tuple, list)) else row)) for row in rows]
            ends = (0, len(dataset) - 1)
            if len(labels) == len(dataset) and all(
                labels[i] == _label(_item(dataset, i, what)[1], i, what) for i in ends
            ):
                return labels
        except (AttributeError, TypeError, ValueError, IndexError):  # includes UserError: the items decide
            continue
    return None


def _item(dataset: Any, place: int, what: str) -> Sequence[Any]:
    try:
        item = dataset[place]
    except Exception as error:  # the object's own code may raise anything
        raise UserError(f"item {place} of {what} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(item, (tuple, list)) or len(item) < 2:
        raise UserError(f"item {place} of {what} is a {type(item).__name__}; expected (image, label)")
    return item


def _label(label: Any, place: int, what: str) -> int:
    try:
        return operator.index(label)
    except TypeError:
        raise UserError(f"item {place} of {what} has the label {str(label)[:60]}; expected an integer") from None
