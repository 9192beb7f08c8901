"""Greedy facility location that looks at a few pictures each time, for pools whose similarities cannot be held."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cliptune.coresets.common.argmax import first_largest


def sampled_facility_location(
    rows: Callable[[Tensor], Tensor], size: int, budget: int, slack: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Maximise f(A) = sum_i max_{j in A} s_ij: positions `(budget,)` in the order chosen, and their gains.

    Each is the best of size / budget * ln(1 / slack) drawn from those left, so that size * ln(1 / slack) rows are
    looked at in all; f(A) is on average at least 1 - 1/e - slack of the best (Mirzasoleiman et al., Lazier Than Lazy
    Greedy, AAAI 2015, theorem 1).

    rows: positions `(b,)` -> similarities `(b, size)`, symmetric and not negative.
    """
    count = math.ceil(size / budget * math.log(1 / slack))
    free = torch.ones(size, dtype=torch.bool)
    sample = rows(torch.zeros(1, dtype=torch.long))[0]
    covered, gains = torch.zeros_like(sample), sample.new_empty(budget)
    picks = torch.empty(budget, dtype=torch.long)
    for turn in range(budget):
        left = free.nonzero()[:, 0]
        drawn = torch.randperm(len(left), generator=generator, device=generator.device)[:count].sort().values.cpu()
        similar = rows(left[drawn])
        gain = (similar - covered).clamp_min_(0).sum(1)
        best = int(first_largest(gain))
        covered = torch.maximum(covered, similar[best])
        picks[turn], gains[turn] = left[drawn[best]], gain[best]
        free[picks[turn]] = False
    return picks.to(gains.device), gains
