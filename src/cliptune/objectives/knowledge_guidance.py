"""Guidance by a teacher: distance to its class features, and gradients that do not oppose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def text_distance_loss(text: Tensor, teacher: Tensor) -> Tensor:
    """Distance of class features from the teacher's, both L2-normalised `(c, d)` -> scalar (KgCoOp).

    1 - mean_c cos(text_c, teacher_c), half the mean squared distance of the unit vectors.
    """
    return 1 - (text * teacher).sum(-1).mean()


def remove_conflict(gradient: Tensor, guide: Tensor, share: float = 1.0) -> Tensor:
    """`gradient` without `share` of its component against `guide`, tensors of one shape (ProGrad).

    g = a if <a, b> >= 0, else a - share <a, b/|b|> b/|b|. Scaling both arguments scales the result by the same factor.
    """
    import torch

    unit = guide / guide.norm().clamp_min(torch.finfo(guide.dtype).tiny)
    return gradient - share * (gradient * unit).sum().clamp_max(0) * unit
