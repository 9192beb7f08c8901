"""Class by class: what each method answers, how that differs from zero-shot, which classes are taken for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliptune.report.sampling_error import wilson_interval


@dataclass(frozen=True)
class ConfusionCounts:
    """Answers to a test set by method: `counts[method][true][answered]` pictures. untuned: the method that others are
    compared with, zero-shot classification."""

    name: str
    classnames: tuple[str, ...]
    untuned: str
    counts: Mapping[str, Sequence[Sequence[int]]]

    @property
    def pictures(self) -> int:
        """How many were answered."""
        return sum(map(sum, next(iter(self.counts.values()), ())))

    def images(self, label: int) -> int:
        """How many of a class were answered."""
        return sum(next(iter(self.counts.values()))[label])

    def interval(self, method: str, label: int) -> tuple[float, float] | None:
        """The 95 % interval of `right`."""
        row = self.counts[method][label]
        return wilson_interval(row[label], sum(row)) if sum(row) else None

    def right(self, method: str, label: int) -> float | None:
        """Percent of a class's pictures that are answered right; None of a class without pictures."""
        row = self.counts[method][label]
        return 100 * row[label] / sum(row) if sum(row) else None

    def changes(self, method: str) -> dict[int, float]:
        """Class -> points that `method` is above zero-shot."""
        pairs = {i: (self.right(method, i), self.right(self.untuned, i)) for i in range(len(self.classnames))}
        return {i: now - was for i, (now, was) in pairs.items() if now is not None and was is not None}


@dataclass(frozen=True)
class ConfusedPair:
    """Pictures of class `true` that are answered with `taken`: percent of that class's, by method."""

    true: int
    taken: int
    share: Mapping[str, float]


def most_changed_classes(one: ConfusionCounts, count: int = 16) -> list[int]:
    """The classes on which methods are furthest from zero-shot, the largest mean gain first."""
    learned = [one.changes(method) for method in one.counts if method != one.untuned]
    if not learned:
        return []
    largest = {i: max(abs(changes[i]) for changes in learned) for i in learned[0]}
    chosen = sorted(largest, key=lambda i: (-largest[i], i))[:count]
    means = {i: sum(changes[i] for changes in learned) / len(learned) for i in chosen}
    return sorted(chosen, key=lambda i: (-means[i], i))


def most_confused_pairs(one: ConfusionCounts, count: int = 10) -> list[ConfusedPair]:
    """The pairs of classes that methods mix up most, by the mean of their shares."""
    totals = [sum(row) for row in next(iter(one.counts.values()))]
    found = []
    for true, total in enumerate(totals):
        for taken in range(len(totals)):
            share = {method: 100 * counts[true][taken] / max(total, 1) for method, counts in one.counts.items()}
            if taken != true and any(share.values()):
                found.append(ConfusedPair(true, taken, share))
    return sorted(found, key=lambda m: (-sum(m.share.values()), m.true, m.taken))[:count]
