"""Metrics of a test set: accuracy, and mean average precision of multi-label data."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.data.targets import multi_hot
from cliptune.types import TestSet


class Metrics:
    """Metrics of a test set from the logits of its examples, which come in batches and are not kept.

    Of multi-label data alone they are, as its mean average precision ranks all images by each class.

    Args:
        test: The test set.
        name: Name of the accuracy; the mean average precision is `name/map`.
    """

    def __init__(self, test: TestSet, name: str):
        self.test, self.name = test, name
        self.targets = multi_hot(test.examples, len(test.classnames))
        self._predicted: list[Tensor] = []
        self._logits: list[Tensor] = []

    def add(self, logits: Tensor) -> None:
        """Add the logits `(b, columns)` of the next examples."""
        self._predicted.append(logits.argmax(1))
        if self.targets is not None:
            self._logits.append(logits)

    def compute(self) -> dict[str, float]:
        """The metrics in percent: the accuracy, the mean average precision of multi-label data, and the accuracy of
        each part of the test set under the part's name."""
        predicted, test = torch.cat(self._predicted), self.test
        found = {self.name: accuracy(predicted, test)}
        if self.targets is not None:
            found[f"{self.name}/map"] = mean_average_precision(torch.cat(self._logits), self.targets)
        for part, labels in test.parts.items():
            rows = [i for i, e in enumerate(test.examples) if e.label in labels]
            if rows:
                part_set = TestSet(tuple(test.examples[i] for i in rows), test.classnames)
                found[part] = accuracy(predicted[rows], part_set)
        return found


def accuracy(predicted: Tensor, test: TestSet) -> float:
    """Top-1 accuracy in percent of predicted columns `(n,)`. A prediction on multi-label data is correct if the image
    has that class."""
    targets = multi_hot(test.examples, max(len(test.classnames), int(predicted.max()) + 1))
    if targets is not None:
        return 100 * targets.gather(1, predicted[:, None]).double().mean().item()
    labels = torch.tensor([e.label for e in test.examples])
    return 100 * (predicted == labels).double().mean().item()


def mean_average_precision(logits: Tensor, targets: Tensor) -> float:
    """Mean average precision in percent of logits `(n, columns)` for targets `(n, C)`, over the classes that occur.

    Average precision is the sum of (R_k - R_k-1) P_k over the whole curve, with images of equal score at one point of
    it, as in scikit-learn; it is not the 11-point interpolation that VOC used until 2009. Images are ranked by softmax
    probabilities: a constant added to all logits of an image changes neither the loss nor its prediction, so raw logits
    of different images are not comparable.
    """
    occurring = targets.any(0)
    scores = logits.double().log_softmax(1)[:, : len(occurring)][:, occurring]
    columns = zip(scores.T, targets[:, occurring].T, strict=True)
    return 100 * torch.stack([_average_precision(own, hits) for own, hits in columns]).mean().item()


def _average_precision(scores: Tensor, hits: Tensor) -> Tensor:
    """The average precision of scores `(n,)`, higher first, for hits `(n,)` of 0 and 1."""
    scores, order = scores.sort(descending=True)
    last_of_score = torch.cat([scores[1:] != scores[:-1], scores.new_ones(1, dtype=torch.bool)]).nonzero()[:, 0]
    found = hits[order].double().cumsum(0)[last_of_score]
    precision, step = found / (last_of_score + 1), found.diff(prepend=found.new_zeros(1))
    return (step * precision).sum() / found[-1]
