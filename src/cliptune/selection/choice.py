"""The choice among candidates: the cheapest that is not clearly worse than the most accurate one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

from cliptune.results.paired_comparison import holm_correction

#: A candidate is clearly worse if the p-value is below this.
LEVEL = 0.05


@dataclass(frozen=True)
class Choice:
    """A choice among candidates.

    Args:
        winner: The candidate that is taken.
        best: The candidate with the most correct images; of several, the cheapest.
        p: Cheaper candidate -> p-value of the hypothesis that it is as accurate as `best`, by the exact McNemar test on
            the same images, Holm-corrected for all of these.
    """

    winner: str
    best: str
    p: Mapping[str, float]

    @property
    def clear(self) -> bool:
        """Whether the most accurate candidate is taken, as all cheaper ones are clearly worse."""
        return self.winner == self.best


def choose(correct: Mapping[str, Sequence[bool]]) -> Choice:
    """Choose among candidates, cheapest first, by whether each image is classified correctly, in the same order."""
    names = list(correct)
    best = max(names, key=lambda name: sum(correct[name]))  # the first of several
    cheaper = names[: names.index(best)]
    raw = {name: mcnemar_p(correct[name], correct[best]) for name in cheaper}
    corrected = holm_correction(list(raw.values()))
    p = {name: corrected[value] for name, value in raw.items()}
    return Choice(next((name for name in cheaper if p[name] >= LEVEL), best), best, p)


def mcnemar_p(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Two-sided p-value of the exact McNemar test: of the images that one method classifies correctly and the other
    does not, each has either direction with probability 1/2 if both are equally accurate."""
    pairs = list(zip(one, other, strict=True))
    counts = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    total = sum(counts)
    return min(1.0, 2 * sum(comb(total, i) for i in range(min(counts) + 1)) / 2**total)


def explain(choice: Choice, baseline: str) -> str:
    """The choice in a sentence. baseline: The method that learns nothing."""
    if not choice.p and choice.best == baseline:
        return (
            f"no method of the comparison is more accurate than {baseline}, which learns nothing; {baseline} is taken"
        )
    if choice.clear:
        if not choice.p:
            return f"{choice.best} is the most accurate method and the cheapest"
        highest = max(choice.p.values())
        return f"clear winner: {choice.best}, more accurate than all cheaper methods (p <= {highest:.2g})"
    taken = "which learns nothing" if choice.winner == baseline else "the cheapest of these"
    return (
        f"no clear winner: {choice.best} is the most accurate, but not clearly more than {choice.winner} "
        f"(p = {choice.p[choice.winner]:.2g}), {taken}; {choice.winner} is taken"
    )
