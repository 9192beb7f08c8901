"""Metrics of a test set: accuracy, and mean average precision of multi-label data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cliptune.data.targets import labels_in
from cliptune.engine.kept_rows import KeptRows
from cliptune.types import Example, TestSet

#: Size of the largest temporary tensor of the average precision.
BLOCK_BYTES = 1 << 26


class Metrics:
    """Metrics of a test set from the logits of its examples, which come in batches and are not kept.

    Of multi-label data alone they are kept, on disk if they are large, as the mean average precision ranks all images
    by each class.

    Args:
        test: The test set.
        name: Name of the accuracy; the mean average precision is `name/map`.
    """

    def __init__(self, test: TestSet, name: str):
        self.test, self.name = test, name
        self._predicted: list[Tensor] = []
        self._logits = KeptRows() if any(e.labels for e in test.examples) else None

    def add(self, logits: Tensor) -> None:
        """Add the logits `(b, columns)` of the next examples."""
        self._predicted.append(logits.argmax(1))
        if self._logits is not None:
            self._logits.add(logits)

    def compute(self) -> dict[str, float]:
        """The metrics in percent: the accuracy, the mean average precision of multi-label data, and the accuracy of
        each part of the test set under the part's name."""
        predicted, test = torch.cat(self._predicted), self.test
        found = {self.name: accuracy(predicted, test)}
        if self._logits is not None:
            with self._logits.whole() as logits:
                found[f"{self.name}/map"] = mean_average_precision(logits, test.examples)
        for part, labels in test.parts.items():
            rows = [i for i, e in enumerate(test.examples) if e.label in labels]
            if rows:
                part_set = TestSet(tuple(test.examples[i] for i in rows), test.classnames)
                found[part] = accuracy(predicted[rows], part_set)
        return found


def accuracy(predicted: Tensor, test: TestSet) -> float:
    """Top-1 accuracy in percent of predicted columns `(n,)`. A prediction on multi-label data is correct if the image
    has that class."""
    correct = sum(column in labels_in(e) for column, e in zip(predicted.tolist(), test.examples, strict=True))
    return 100 * (correct / len(test.examples))


def mean_average_precision(logits: Tensor, examples: Sequence[Example]) -> float:
    """Mean average precision in percent of the logits `(n, columns)` of examples, over the classes that occur.

    Average precision is the sum of (R_k - R_k-1) P_k over the whole curve, with images of equal score at one point of
    it, as in scikit-learn; it is not the 11-point interpolation that VOC used until 2009. Images are ranked by softmax
    probabilities: a constant added to all logits of an image changes neither the loss nor its prediction, so raw logits
    of different images are not comparable.
    """
    with_class: dict[int, list[int]] = {}
    for i, example in enumerate(examples):
        for label in labels_in(example):
            with_class.setdefault(label, []).append(i)
    # Logarithms of probabilities in double precision, block by block: the logits may be many, and in a file.
    largest, log_sums = (torch.cat(parts)[:, None] for parts in zip(*map(_normaliser, _blocks(logits)), strict=True))
    occurring, found = sorted(with_class), list[Tensor]()
    width = max(1, BLOCK_BYTES // (8 * len(logits)))
    for classes in (occurring[first : first + width] for first in range(0, len(occurring), width)):
        scores = (logits[:, classes].double() - largest - log_sums).T.contiguous()
        found += (_average_precision(own, with_class[c]) for c, own in zip(classes, scores, strict=True))
    return 100 * torch.stack(found).mean().item()


def _blocks(logits: Tensor) -> Sequence[Tensor]:
    """Rows of logits, some at a time."""
    return logits.split(max(1, BLOCK_BYTES // (8 * logits.shape[1])))


def _normaliser(logits: Tensor) -> tuple[Tensor, Tensor]:
    """What a logarithm of a softmax subtracts from the logits of each row: the largest, then a logarithm of a sum."""
    logits = logits.double()
    largest = logits.amax(1, keepdim=True)
    return largest[:, 0], (logits - largest).exp().sum(1).log()


def _average_precision(scores: Tensor, rows: Sequence[int]) -> Tensor:
    """The average precision of scores `(n,)`, higher first, if the images in `rows` have the class."""
    scores, order = scores.sort(descending=True)
    hits = torch.zeros_like(scores)
    hits[rows] = 1
    last_of_score = torch.cat([scores[1:] != scores[:-1], scores.new_ones(1, dtype=torch.bool)]).nonzero()[:, 0]
    found = hits[order].cumsum(0)[last_of_score]
    precision, step = found / (last_of_score + 1), found.diff(prepend=found.new_zeros(1))
    return (step * precision).sum() / found[-1]
