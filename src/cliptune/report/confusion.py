"""Confusion counts: accuracy per class, changes from zero-shot, and the pairs of classes confused most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliptune.analysis.class_accuracy import wilson_interval


@dataclass(frozen=True)
class ConfusionCounts:
    """Predictions on a test set: `counts[method][true class][predicted class]` images.

    `untuned` names the method that others are compared with, zero-shot classification.
    """

    name: str
    classnames: tuple[str, ...]
    untuned: str
    counts: Mapping[str, Sequence[Sequence[int]]]

    @property
    def num_images(self) -> int:
        """Number of images."""
        return sum(map(sum, next(iter(self.counts.values()), ())))

    def images(self, label: int) -> int:
        """Number of images of a class."""
        return sum(next(iter(self.counts.values()))[label])

    def interval(self, method: str, label: int) -> tuple[float, float] | None:
        """95 % interval of `accuracy`, in percent; None for a class without images."""
        row = self.counts[method][label]
        return wilson_interval(row[label], sum(row)) if sum(row) else None

    def accuracy(self, method: str, label: int) -> float | None:
        """Accuracy on a class in percent; None for a class without images."""
        row = self.counts[method][label]
        return 100 * row[label] / sum(row) if sum(row) else None

    def gained(self, method: str, label: int) -> int:
        """Number of images of a class that `method` predicts correctly, minus those of zero-shot."""
        return self.counts[method][label][label] - self.counts[self.untuned][label][label]

    def changes(self, method: str) -> dict[int, float]:
        """Class -> accuracy of `method` minus zero-shot accuracy, in points."""
        pairs = {i: (self.accuracy(method, i), self.accuracy(self.untuned, i)) for i in range(len(self.classnames))}
        return {i: now - was for i, (now, was) in pairs.items() if now is not None and was is not None}


@dataclass(frozen=True)
class ConfusedPair:
    """Images of class `true` that are predicted as `predicted`: percent of the images of that class, by method."""

    true: int
    predicted: int
    share: Mapping[str, float]


def most_changed_classes(confusion: ConfusionCounts, count: int = 16) -> list[int]:
    """The classes of which most images change from zero-shot, the largest mean gain in accuracy first.

    A class of two images changes by 50 points if one of them does, which says little.
    """
    learned = [method for method in confusion.counts if method != confusion.untuned]
    if not learned:
        return []
    changes = [confusion.changes(method) for method in learned]
    images = {i: max(abs(confusion.gained(method, i)) for method in learned) for i in changes[0]}
    chosen = sorted(images, key=lambda i: (-images[i], i))[:count]
    means = {i: sum(change[i] for change in changes) / len(changes) for i in chosen}
    return sorted(chosen, key=lambda i: (-means[i], i))


def most_confused_pairs(confusion: ConfusionCounts, count: int = 10) -> list[ConfusedPair]:
    """The pairs of classes of which methods confuse most images."""
    totals = [sum(row) for row in next(iter(confusion.counts.values()))]
    pairs = []
    for true, total in enumerate(totals):
        for predicted in range(len(totals)):
            share = {
                method: 100 * counts[true][predicted] / max(total, 1) for method, counts in confusion.counts.items()
            }
            if predicted != true and any(share.values()):
                pairs.append(ConfusedPair(true, predicted, share))
    return sorted(pairs, key=lambda m: (-sum(m.share.values()) * totals[m.true], m.true, m.predicted))[:count]
