"""Rows of a large matrix that are asked for one by one: those likely to be next are computed along with each."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor

#: Rows computed together at most.
MOST = 128


@final
class Ahead:
    """Rows of a matrix of m columns, for a greedy choice of `budget` whose candidates keep their order for a while.

    One row is a product with a vector, which waits for memory: on one core, 64 rows of 50,000 pictures take as long as
    seven by themselves. Twice as many are computed together as were of use the last time.

    rows: positions `(b,)` -> `(b, m)`.
    """

    def __init__(self, rows: Callable[[Tensor], Tensor], budget: int):
        self.rows, self.budget = rows, budget
        self.held: dict[int, Tensor] = {}
        self.used = 0

    def __contains__(self, best: int) -> bool:
        return best in self.held

    def row(self, best: int, score: Tensor) -> Tensor:
        """Row `best` `(m,)`, as `rows` answered when it was computed.

        score: `(m,)`, which the next to be asked for will be the largest of; -inf for those that were.
        """
        if best not in self.held:
            width = min(max(1, 2 * self.used), MOST, self.budget)
            near = score.topk(width).indices
            index = near.where(near != best, near[-1])
            index[0] = best
            index = index.unique()
            self.held = dict(zip(index.tolist(), self.rows(index), strict=True))
            self.used = 0
        self.used, self.budget = self.used + 1, self.budget - 1
        return self.held[best]
