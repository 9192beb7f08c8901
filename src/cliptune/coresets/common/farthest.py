"""Farthest-first traversal: the next is the one farthest from all before."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.coresets.common.ahead import Ahead
from cliptune.coresets.common.argmax import first_largest


def farthest_first(distances: Callable[[Tensor], Tensor], first: int, budget: int) -> Tensor:
    """Positions `(budget,)` in the order chosen, at most twice as far from everybody as the best (Gonzalez 1985).

    distances: positions `(b,)` -> their distances `(b, m)`, not negative, from all.
    """
    picks, nearest = [first], distances(torch.tensor([first]))[0]
    nearest[first] = -1  # below every distance: never again
    ahead = Ahead(distances, budget - 1)
    for _ in range(budget - 1):
        best = int(first_largest(nearest))
        picks.append(best)
        nearest = torch.minimum(nearest, ahead.row(best, nearest))
        nearest[best] = -1
    return torch.tensor(picks, device=nearest.device)
