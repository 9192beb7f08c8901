"""Greedy log-determinant."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.coresets.common.argmax import first_largest
from cliptune.coresets.common.cosine import CosineKernel
from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky

#: Added to the diagonal, so that the determinant of pictures that are alike is above 0.
RIDGE = 1e-4


def log_determinant(kernel: CosineKernel, budget: int, method: str) -> tuple[Tensor, Tensor]:
    """Maximise log det(S_A + 1e-4 I) greedily: positions `(budget,)`, and gains.

    The gain of j is the log of its Schur complement, kept up to date by a Cholesky factor that grows by a row with each
    choice (Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018, algorithm 1).
    """
    grown = IncrementalCholesky(kernel.rows, kernel.diagonal(), RIDGE, budget, method)
    picks, gains = [], []
    for _ in range(budget):
        best = first_largest(grown.left)
        _, rest = grown.add(int(best), grown.left)
        grown.left[best] = -torch.inf
        picks.append(best)
        gains.append(rest.log())
    return torch.stack(picks), torch.stack(gains)
