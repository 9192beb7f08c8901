"""Farthest-first traversal: the next is the one farthest from all before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.selection.parts.ties import first_largest


def farthest_first(distances: Callable[[Tensor], Tensor], first: int, budget: int) -> Tensor:
    """Positions `(budget,)` in the order chosen, at most twice as far from everybody as the best (Gonzalez 1985).

    distances: a position -> its distances `(m,)`, not negative, from all.
    """
    picks = [torch.tensor(first)]
    nearest = distances(picks[0]).clone()
    nearest[first] = -1  # below every distance: never again
    for _ in range(budget - 1):
        best = first_largest(nearest)
        picks.append(best)
        nearest = torch.minimum(nearest, distances(best))
        nearest[best] = -1
    return torch.stack([p.to(nearest.device) for p in picks])
