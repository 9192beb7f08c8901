"""Non-negative least squares."""

from __future__ import annotations

import torch
from torch import Tensor

#: Block exchanges without progress before single exchanges, which always terminate.
MAX_FAILED_EXCHANGES = 3


def nnls(gram: Tensor, target: Tensor) -> Tensor:
    """argmin over x >= 0 of x^T gram x / 2 - target^T x, `(k,)`.

    Block principal pivoting (Portugal, Judice & Vicente 1994), an exact algorithm that terminates.

    gram: `(k, k)`, positive definite.
    """
    free = target > 0
    fewest, left = len(target) + 1, MAX_FAILED_EXCHANGES
    tolerance = 10 * torch.finfo(gram.dtype).eps * (target.abs().max() + gram.diagonal().max())
    while True:
        x = torch.zeros_like(target)
        if bool(free.any()):
            x[free] = torch.linalg.solve(gram[free][:, free], target[free])
        slope = gram @ x - target
        wrong = (free & (x < 0)) | (~free & (slope < -tolerance))
        count = int(wrong.sum())
        if count == 0:
            return x
        if count < fewest:
            fewest, left = count, MAX_FAILED_EXCHANGES
        elif left:
            left -= 1
        else:  # Murty's rule: exchange the last one alone
            last = wrong.nonzero()[-1]
            wrong = torch.zeros_like(wrong)
            wrong[last] = True
        free = free ^ wrong
