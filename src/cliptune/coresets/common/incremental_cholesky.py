"""A Cholesky factor that grows by one row per selected image."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor


@final
class IncrementalCholesky:
    """Partial Cholesky factorisation of K + ridge I for a growing selection A; b selections take b^2 m / 2
    multiplications.

    Args:
        matrix: K, symmetric `(m, m)`.
        diagonal: Its exact diagonal `(m,)`.
        ridge: Added to the diagonal.
        budget: Number of images that will be selected.

    `factor` `(budget, m)` holds L^-1 K_A in its first |A| rows, with L L^T = K_AA + ridge I. `residual` `(m,)` holds
    the Schur complement of each diagonal entry.
    """

    def __init__(self, matrix: Tensor, diagonal: Tensor, ridge: float, budget: int):
        self.matrix, self.ridge = matrix, ridge
        self.residual = diagonal + ridge
        self.factor = torch.empty(budget, len(diagonal), dtype=diagonal.dtype, device=diagonal.device)
        self.size = 0

    def add(self, best: int) -> tuple[Tensor, Tensor]:
        """Select `best`. Returns the new row `(m,)` of the factor and the Schur complement of `best` before the
        update."""
        before = self.factor[: self.size]
        remaining = self.residual[best].clamp_min(self.ridge)  # only rounding makes it smaller
        row = (self.matrix[best] - before[:, best] @ before) / remaining.sqrt()
        self.factor[self.size] = row
        self.residual = self.residual - row.square()
        self.size += 1
        return row, remaining
