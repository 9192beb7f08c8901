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
    """The classes that change most from zero-shot, the largest mean gain first."""
    learned = [confusion.changes(method) for method in confusion.counts if method != confusion.untuned]
    if not learned:
        return []
    largest = {i: max(abs(changes[i]) for changes in learned) for i in learned[0]}
    chosen = sorted(largest, key=lambda i: (-largest[i], i))[:count]
    means = {i: sum(changes[i] for changes in learned) / len(learned) for i in chosen}
    return sorted(chosen, key=lambda i: (-means[i], i))


def most_confused_pairs(confusion: ConfusionCounts, count: int = 10) -> list[ConfusedPair]:
    """The pairs of classes that methods confuse most, by the mean of their shares."""
    totals = [sum(row) for row in next(iter(confusion.counts.values()))]
    pairs = []
    for true, total in enumerate(totals):
        for predicted in range(len(totals)):
            share = {
                method: 100 * counts[true][predicted] / max(total, 1) for method, counts in confusion.counts.items()
            }
            if predicted != true and any(share.values()):
                pairs.append(ConfusedPair(true, predicted, share))
    return sorted(pairs, key=lambda m: (-sum(m.share.values()), m.true, m.predicted))[:count]
