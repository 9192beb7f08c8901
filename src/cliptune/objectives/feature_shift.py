"""Feature shift that prompts cause in each tower per layer, and its inconsistency between towers (RESTORE)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def gram_norms(prompts: Sequence[Tensor]) -> Tensor:
    """`||P^T P||_F` of each layer's tokens `(m, width)` -> `(layers,)`.

    Computed as `||P P^T||_F`, which has the same value and needs an `m x m` matrix only.
    """
    import torch

    return torch.stack([(p @ p.T).norm() for p in prompts]) if prompts else torch.zeros(0)


def relative_shifts(prompted: Sequence[Tensor], plain: Sequence[Tensor]) -> Tensor:
    """Mean over rows of `||h - h0|| / ||h0||` for each block's tokens `(n, width)` with and without prompts ->
    `(blocks,)`.

    Relative to the frozen model's tokens, since the towers differ in width and scale.
    """
    import torch

    moved = [(h - h0).float().norm(dim=-1) / h0.float().norm(dim=-1) for h, h0 in zip(prompted, plain, strict=True)]
    return torch.stack([row.mean() for row in moved])


def shift_inconsistency(text: Tensor, image: Tensor) -> Tensor:
    """`sum_j (text_j - image_j)^2` over layers, `(layers,)` each -> scalar; zero if both towers shift equally."""
    return (text - image).square().sum()
