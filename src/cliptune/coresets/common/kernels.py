"""Matrices of all pairs of gradients: inner products, cosine similarities, distances."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.coresets.common.gradients import Gradients
from cliptune.errors import UserError

#: GiB that a matrix may take: 40,132 images in single precision.
MAX_GIB = 6.0
#: Number of entries computed at a time; it bounds the temporary tensors.
CHUNK_ENTRIES = 2**24


def inner_products(gradients: Gradients, method: str) -> Tensor:
    """<G_i, G_j>, `(m, m)`. Raises `UserError` if the matrix is too large."""
    return _pairwise(lambda rows: gradients[rows].inner(gradients), gradients, method)


def cosine_similarities(gradients: Gradients, method: str, *, eps: float = 0.0) -> tuple[Tensor, Tensor]:
    """s_ij = (1 + cos(G_i, G_j)) / 2 `(m, m)` and its exact diagonal `(m,)`.

    eps: added to the denominator ||G_i|| ||G_j|| of the cosine. Without it, the cosine of a zero gradient is 0.
    Raises `UserError` if the matrix is too large.
    """
    norms = gradients.norms()
    scaled = gradients if eps else gradients.unit()

    def block(rows: slice) -> Tensor:
        cosine = scaled[rows].inner(scaled)
        if eps:
            cosine /= norms[rows][:, None] * norms + eps
        return cosine.add_(1).mul_(0.5)

    square = norms.square()
    diagonal = square / (square + eps) if eps else (square > 0).to(square.dtype)
    return _pairwise(block, gradients, method), diagonal.add(1).mul_(0.5)


def distances(gradients: Gradients, method: str) -> Tensor:
    """Euclidean distances ||G_i - G_j|| `(m, m)`, 0 on the diagonal. Raises `UserError` if the matrix is too large."""
    square = gradients.norms().square()

    def block(rows: slice) -> Tensor:
        return (square[rows][:, None] + square - 2 * gradients[rows].inner(gradients)).clamp_min_(0).sqrt_()

    return _pairwise(block, gradients, method).fill_diagonal_(0)


def _pairwise(block: Callable[[slice], Tensor], gradients: Gradients, method: str) -> Tensor:
    """The matrix whose rows `block` computes, filled in chunks."""
    size, like = len(gradients), gradients.residual
    gib = size**2 * like.dtype.itemsize / 2**30
    if gib > MAX_GIB:
        raise UserError(
            f"{method} compares all pairs of {size} images, which needs {gib:.0f} GiB of memory; use another method, a "
            f"smaller pool, or balanced=True, which compares images of one class at a time"
        )
    step = max(1, CHUNK_ENTRIES // size)
    if step >= size:
        return block(slice(None))
    matrix = torch.empty(size, size, dtype=like.dtype, device=like.device)
    for start in range(0, size, step):
        matrix[start : start + step] = block(slice(start, start + step))
    return matrix
