"""Learned weights and biases of the towers' LayerNorms, and a classifier on the features that result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from cliptune.types import BlockChange, Prompts, TowerChange


class Affine(nn.Module):
    """Weight and bias `(width,)`, which start at those of a LayerNorm."""

    def __init__(self, norm: nn.LayerNorm):
        super().__init__()
        self.weight = nn.Parameter(norm.weight.detach().float().clone())
        self.bias = nn.Parameter(norm.bias.detach().float().clone())


class LayerNorms(nn.Module):
    """A learner that replaces weights and biases of LayerNorms.

    Args:
        text, image: The LayerNorms of a tower by their place: "0.ln_1" in the first block, or "ln_final" outside of the
            blocks.
    """

    def __init__(self, text: Mapping[str, nn.LayerNorm], image: Mapping[str, nn.LayerNorm]):
        super().__init__()
        self.text, self.image = (
            nn.ModuleDict({place.replace(".", "_"): Affine(norm) for place, norm in norms.items()})
            for norms in (text, image)
        )

    def forward(self) -> Prompts:
        return Prompts(text_change=self._change("text"), image_change=self._change("image"))

    def places(self, tower: str) -> Iterator[tuple[int | None, str, Affine]]:
        """Block (None outside of the blocks), name and values of each LayerNorm of the tower "text" or "image"."""
        for key, affine in getattr(self, tower).items():
            block, _, name = key.partition("_")
            yield (int(block), name, affine) if block.isdecimal() else (None, key, affine)

    def _change(self, tower: str) -> TowerChange:
        blocks: dict[int, dict[str, tuple[Tensor, Tensor]]] = {}
        outside = {}
        for block, name, affine in self.places(tower):
            (outside if block is None else blocks.setdefault(block, {}))[name] = affine.weight, affine.bias
        count = 1 + max(blocks, default=-1)
        return TowerChange(tuple(BlockChange(norm=blocks[i]) if i in blocks else None for i in range(count)), outside)


class NormsAndClassifier(nn.Module):
    """Frozen `LayerNorms` and a trained vector `(d,)` for each class, used normalised in place of its text feature.

    Args:
        classnames: The classes of the rows of `weight` `(C, d)`.
    """

    def __init__(self, norms: LayerNorms, classnames: Sequence[str], weight: Tensor):
        super().__init__()
        self.norms, self.classnames = norms.requires_grad_(False), tuple(classnames)
        self.weight = nn.Parameter(weight)

    def forward(self) -> Prompts:
        return self.norms()

    def replaced(self, text: Tensor | None, classnames: Sequence[str]) -> Tensor:
        """Class features `(n, d)` of `classnames`: the normalised vectors of the classifier's classes, and rows of
        `text` `(n, d)` for other names; None if there are no others."""
        rows = self.weight / self.weight.norm(dim=-1, keepdim=True)
        if text is None:
            return rows if tuple(classnames) == self.classnames else rows[self.rows(classnames)]
        known = self.rows(classnames)
        return torch.where((known < 0)[:, None], text, rows[known.clamp(min=0)])

    def rows(self, classnames: Sequence[str]) -> Tensor:
        """The row of each name `(n,)`, -1 for names that the classifier does not have."""
        index = {name: i for i, name in enumerate(self.classnames)}
        return torch.tensor([index.get(name, -1) for name in classnames], device=self.weight.device)
