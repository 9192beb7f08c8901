"""Greedy algorithms: each adds the best image to those already selected. The earlier image wins a tie."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky

#: Values that differ by less than this many machine epsilons, relative to the largest, count as equal.
TIE_EPSILONS = 16
#: Similarities looked up at a time by `facility_location`.
CHUNK_ENTRIES = 4_000_000
#: Outdated gains that `facility_location` recomputes at a time; doubled until the best gain is up to date.
LAZY_WIDTH = 16
#: Added to the diagonal by `log_determinant`, so that the determinant of similar images is positive.
RIDGE = 1e-4


def first_largest(x: Tensor) -> Tensor:
    """The first position in `(m,)` whose value equals the largest up to rounding."""
    largest = x.amax()
    return (x >= largest - TIE_EPSILONS * torch.finfo(x.dtype).eps * largest.abs()).to(torch.uint8).argmax()


def farthest_first(distances: Callable[[Tensor], Tensor], first: int, budget: int) -> Tensor:
    """Farthest-first traversal: each image is the one farthest from all selected before it.

    Returns positions `(budget,)` in the order selected. Their covering radius is at most twice the smallest possible
    (Gonzalez 1985).

    distances: maps positions `(b,)` to their non-negative distances `(b, m)` from all images.
    """
    picks, nearest = [first], distances(torch.tensor([first]))[0]
    nearest[first] = -1  # below every distance, so that it is not selected again
    for _ in range(budget - 1):
        best = int(first_largest(nearest))
        picks.append(best)
        nearest = torch.minimum(nearest, distances(torch.tensor([best]))[0])
        nearest[best] = -1
    return torch.tensor(picks, device=nearest.device)


def facility_location(rows: Callable[[Tensor], Tensor], size: int, budget: int) -> tuple[Tensor, Tensor]:
    """Maximise f(A) = sum_i max_{j in A} s_ij greedily. Returns positions `(budget,)` in the order selected, and gains.

    f(A) is at least 1 - 1/e of the maximum (Nemhauser, Wolsey & Fisher 1978). Gains shrink as A grows, so an outdated
    gain is an upper bound and only the largest ones are recomputed (Minoux 1978); the result is that of recomputing
    all.

    rows: maps positions `(b,)` to similarities `(b, size)`, symmetric and non-negative.
    """
    positions = torch.arange(size)
    sample = rows(positions[:1])
    positions, covered = positions.to(sample.device), torch.zeros_like(sample[0])

    def gain(index: Tensor) -> Tensor:
        # One output tensor: small results kept between the large blocks would fragment the memory.
        found = torch.empty_like(covered[index])
        step = max(1, CHUNK_ENTRIES // size)
        for start in range(0, len(index), step):
            part = slice(start, start + step)
            found[part] = rows(index[part]).sub_(covered).clamp_min_(0).sum(1)
        return found

    bounds = gain(positions)
    updated = torch.zeros_like(positions)  # the step in which each gain was computed
    picks, gains = positions.new_empty(budget), bounds.new_empty(budget)
    for step in range(budget):
        width = LAZY_WIDTH
        while int(updated[best := first_largest(bounds)]) != step:
            top = bounds.topk(min(width, size)).indices
            outdated = top[(updated[top] != step) & bounds[top].isfinite()]
            bounds[outdated], updated[outdated] = gain(outdated), step
            width *= 2
        picks[step], gains[step] = best, bounds[best]
        covered = torch.maximum(covered, rows(best[None])[0])
        bounds[best] = -torch.inf
    return picks, gains


def graph_cut(similarity: Tensor, diagonal: Tensor, budget: int, balance: float) -> tuple[Tensor, Tensor]:
    """Maximise balance * sum_{i in V, j in A} s_ij - sum_{i, j in A} s_ij greedily.

    Returns positions `(budget,)` in the order selected, and gains. The gain of j is balance * sum_i s_ij - s_jj -
    2 sum_{k in A} s_kj. The function is submodular as s is non-negative, and monotone for a balance of 2 or more.

    similarity: s `(m, m)`. diagonal: its exact diagonal `(m,)`, ignored at a balance of 1 as the DAPT release does.
    """
    gain = balance * similarity.sum(1) - (diagonal if balance != 1 else 0)
    picks, gains = [], []
    for _ in range(budget):
        best = first_largest(gain)
        picks.append(best)
        gains.append(gain[best].clone())
        gain -= 2 * similarity[best]
        gain[best] = -torch.inf
    return torch.stack(picks), torch.stack(gains)


def log_determinant(similarity: Tensor, diagonal: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """Maximise log det(S_A + 1e-4 I) greedily. Returns positions `(budget,)` in the order selected, and gains.

    The gain of j is the logarithm of its Schur complement, updated by a Cholesky factor that grows by one row per
    selected image (Chen, Zhang & Zhou, Fast Greedy MAP Inference for Determinantal Point Process, NeurIPS 2018,
    algorithm 1).

    similarity: S `(m, m)`. diagonal: its exact diagonal `(m,)`.
    """
    cholesky = IncrementalCholesky(similarity, diagonal, RIDGE, budget)
    picks, gains = [], []
    for _ in range(budget):
        best = first_largest(cholesky.residual)
        _, remaining = cholesky.add(int(best))
        cholesky.residual[best] = -torch.inf
        picks.append(best)
        gains.append(remaining.log())
    return torch.stack(picks), torch.stack(gains)
