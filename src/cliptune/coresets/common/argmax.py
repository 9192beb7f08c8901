"""Which of equals is chosen: the earlier, whatever rounding says."""

from __future__ import annotations

import torch
from torch import Tensor

#: Numbers that differ by less than this many units of rounding, relative to the largest, are equal.
UNITS = 16


def first_largest(x: Tensor) -> Tensor:
    """The first position of `(m,)` that is as large as the largest, up to rounding."""
    largest = x.amax()
    return (x >= largest - UNITS * torch.finfo(x.dtype).eps * largest.abs()).to(torch.uint8).argmax()
