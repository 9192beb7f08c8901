"""Accuracy per class with confidence intervals, pairs of classes that are confused, and the surest mistakes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from cliptune.analysis.split_predictions import SplitPredictions

#: 97.5 % quantile of the normal distribution: 95 % lie within plus or minus this.
NORMAL_QUANTILE_95 = 1.959963984540054


@dataclass(frozen=True)
class ClassAccuracy:
    """Accuracy on a class: `correct` of `images` images. Percent and interval are None for a class without images."""

    split: str
    name: str
    images: int
    correct: int

    @property
    def percent(self) -> float | None:
        """Accuracy in percent."""
        return 100 * self.correct / self.images if self.images else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the accuracy, in percent."""
        return wilson_interval(self.correct, self.images) if self.images else None


@dataclass(frozen=True)
class Confusion:
    """`count` of the `images` images of class `true` are predicted as class `predicted`."""

    split: str
    true: str
    predicted: str
    count: int
    images: int


def class_accuracies(part: SplitPredictions) -> list[ClassAccuracy]:
    """The accuracy of each class, also of those without images. An image with several classes counts for each."""
    images, correct = Counter[int](), Counter[int]()
    for labels, right in zip(part.labels, part.correct.tolist(), strict=True):
        images.update(labels)
        correct.update(labels if right else ())
    return [ClassAccuracy(part.split, name, images[i], correct[i]) for i, name in enumerate(part.classnames)]


def confusions(part: SplitPredictions) -> list[Confusion]:
    """Pairs of a true and another predicted class, by the share of the images of the true class. The true class of a
    multi-label image is the most probable of its classes."""
    true, predicted, correct = part.true.tolist(), part.predicted.tolist(), part.correct.tolist()
    totals = Counter(true)
    wrong = Counter((t, p) for t, p, right in zip(true, predicted, correct, strict=True) if not right)
    names = part.classnames
    pairs = [Confusion(part.split, names[t], names[p], n, totals[t]) for (t, p), n in sorted(wrong.items())]
    return sorted(pairs, key=lambda pair: (-pair.count / pair.images, -pair.count))


def surest_mistakes(part: SplitPredictions, count: int) -> list[int]:
    """Indices of at most `count` wrong predictions, those with the highest probability first."""
    wrong = [i for i, right in enumerate(part.correct.tolist()) if not right]
    return sorted(wrong, key=lambda i: (-float(part.predicted_log[i]), i))[:count]


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    """Wilson 95 % interval, in percent, of the share `right / of`; valid for small `of` and for shares of 0 and 1."""
    if not of:
        return 0.0, 100.0
    share, z = right / of, NORMAL_QUANTILE_95**2 / of
    middle, half = share + z / 2, math.sqrt(share * (1 - share) * z + z**2 / 4)
    return 100 * max(0.0, middle - half) / (1 + z), 100 * min(1 + z, middle + half) / (1 + z)
