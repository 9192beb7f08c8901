"""A Cholesky factor that grows by a row with each picture chosen, as if all pictures were chosen next."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import Tensor

from cliptune.coresets.common.ahead import Ahead
from cliptune.coresets.common.room import kept_rows


@final
class IncrementalCholesky:
    """Of K + ridge I, K symmetric `(m, m)`: after the choice A, `factor` `(|A|, m)` is L^-1 K_A with L L^T =
    K_AA + ridge I, and `left` `(m,)` what the chosen leave of each diagonal entry, its Schur complement.

    b choices take b^2 m / 2 multiplications. Row by row these would wait for memory; rows are computed ahead, with all
    that was chosen before, and what was chosen since is taken off when a row is asked for.

    rows: positions `(b,)` -> rows of K. Raises `UserError` where `budget` rows are more than a common machine holds.
    """

    def __init__(self, rows: Callable[[Tensor], Tensor], diagonal: Tensor, ridge: float, budget: int, method: str):
        self.left, self.ridge = diagonal + ridge, ridge
        self.factor = kept_rows(budget, len(diagonal), diagonal, method)
        self.size, self.since = 0, 0
        self.matrix = rows
        self.ahead = Ahead(self._reduced, budget)

    def add(self, best: int, score: Tensor) -> tuple[Tensor, Tensor]:
        """Choose `best`: the new row `(m,)` of the factor, and what was left of `best`.

        score: `(m,)`, which the next choices will be the largest of; -inf for the chosen.
        """
        row, k = self.ahead.row(best, score), self.size
        later = self.factor[self.since : k]
        rest = self.left[best].clamp_min(self.ridge)  # below only by rounding
        self.factor[k] = (row - later[:, best] @ later) / rest.sqrt()
        self.left = self.left - self.factor[k].square()
        self.size = k + 1
        return self.factor[k], rest

    def _reduced(self, index: Tensor) -> Tensor:
        self.since = self.size
        before = self.factor[: self.size]
        return self.matrix(index).addmm_(before[:, index].T, before, alpha=-1)
