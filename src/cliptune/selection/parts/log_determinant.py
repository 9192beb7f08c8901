"""Greedy log-determinant."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.selection.parts.cosine import Cosine
from cliptune.selection.parts.room import kept_rows
from cliptune.selection.parts.ties import first_largest

#: Added to the diagonal, so that the determinant of pictures that are alike is above 0.
RIDGE = 1e-4


def log_determinant(kernel: Cosine, budget: int, method: str) -> tuple[Tensor, Tensor]:
    """Maximise log det(S_A + 1e-4 I) greedily: positions `(budget,)`, and gains.

    The gain of j is the log of its Schur complement, kept up to date by a Cholesky factor that grows by a row with each
    choice (Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018, algorithm 1).
    """
    left = kernel.diagonal() + RIDGE
    factor = kept_rows(budget, len(kernel), left, method)
    picks, gains = [], []
    for k in range(budget):
        best = first_largest(left)
        rest = left[best].clamp_min(RIDGE)  # below only by rounding
        factor[k] = (kernel.rows(best[None])[0] - factor[:k, best] @ factor[:k]) / rest.sqrt()
        left = left - factor[k].square()
        left[best] = -torch.inf
        picks.append(best)
        gains.append(rest.log())
    return torch.stack(picks), torch.stack(gains)
