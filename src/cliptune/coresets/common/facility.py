"""Greedy facility location, lazily: few gains are computed again after each choice."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.coresets.common.argmax import first_largest

#: Similarities held at once while gains are computed.
ENTRIES = 4_000_000
#: Stale gains computed anew together; twice as many each time that was not enough.
WIDTH = 16


def facility_location(rows: Callable[[Tensor], Tensor], size: int, budget: int) -> tuple[Tensor, Tensor]:
    """Maximise f(A) = sum_i max_{j in A} s_ij greedily: positions `(budget,)` in the order chosen, and their gains.

    rows: positions `(b,)` -> similarities `(b, size)`, symmetric and not negative.
    A gain never grows as A does (Nemhauser, Wolsey & Fisher 1978), so a stale one is an upper bound and only those on
    top need another look (Minoux 1978); the choice is that of looking at all. f(A) >= (1 - 1/e) of the best.
    """
    everyone = torch.arange(size)
    sample = rows(everyone[:1])
    everyone, covered = everyone.to(sample.device), torch.zeros_like(sample[0])

    def gain(index: Tensor) -> Tensor:
        # small results kept one by one would lie scattered over what blocks leave, of no use to later blocks
        found = torch.empty_like(covered[index])
        step = max(1, ENTRIES // size)
        for start in range(0, len(index), step):
            part = slice(start, start + step)
            found[part] = rows(index[part]).sub_(covered).clamp_min_(0).sum(1)
        return found

    bounds = gain(everyone)
    seen = torch.zeros_like(everyone)  # in which round a gain was computed
    picks, gains = everyone.new_empty(budget), bounds.new_empty(budget)
    for turn in range(budget):
        width = WIDTH
        while int(seen[best := first_largest(bounds)]) != turn:
            top = bounds.topk(min(width, size)).indices
            stale = top[(seen[top] != turn) & bounds[top].isfinite()]
            bounds[stale], seen[stale] = gain(stale), turn
            width *= 2
        picks[turn], gains[turn] = best, bounds[best]
        covered = torch.maximum(covered, rows(best[None])[0])
        bounds[best] = -torch.inf
    return picks, gains
