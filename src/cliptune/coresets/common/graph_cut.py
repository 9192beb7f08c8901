"""Greedy graph cut."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.coresets.common.argmax import first_largest
from cliptune.coresets.common.cosine import CosineKernel


def graph_cut(kernel: CosineKernel, budget: int, balance: float) -> tuple[Tensor, Tensor]:
    """Maximise balance * sum_{i in V, j in A} s_ij - sum_{i, j in A} s_ij greedily: positions `(budget,)`, gains.

    The gain of j is balance * sum_i s_ij - s_jj - 2 sum_{k in A} s_kj. Submodular as s is not negative; monotone for
    balance of 2 and more.
    """
    gain = balance * kernel.sums() - (kernel.diagonal() if balance != 1 else 0)
    picks, gains = [], []
    for _ in range(budget):
        best = first_largest(gain)
        picks.append(best)
        gains.append(gain[best].clone())
        gain -= 2 * kernel.rows(best[None])[0]  # rows computed ahead would be of no use: a choice reorders what is next
        gain[best] = -torch.inf
    return torch.stack(picks), torch.stack(gains)
