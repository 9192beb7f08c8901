"""Distances of gradients, and how near these are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.coresets.common.cosine import DENSE, ENTRIES
from cliptune.coresets.common.gradients import Gradients
from cliptune.coresets.common.rounded import Rounded

#: Added to every similarity, as in the release: a first choice gains something where all are alike.
OFFSET = 1e-3


@dataclass(frozen=True)
class DistanceKernel:
    """||G_i - G_j|| among m gradients: held for few, held rounded to 16 bits for more, computed when asked for beyond.

    most: the largest, or twice the longest gradient where they are not held.
    """

    gradients: Gradients
    norms: Tensor
    most: Tensor
    held: Tensor | Rounded | None = None

    @classmethod
    def of(cls, gradients: Gradients) -> DistanceKernel:
        """Of `gradients`, of whatever length."""
        norms = gradients.norms()
        free = cls(gradients, norms, 2 * norms.max())
        if len(free) <= DENSE:
            matrix = gradients.distances()
            return cls(gradients, norms, matrix.max(), matrix)
        if not Rounded.fits(len(free)):
            return free
        rounded = Rounded.of(free.block, len(free), float(free.most) or 1.0, norms.device)
        return cls(gradients, norms, rounded.most().to(norms.dtype), rounded)

    def __len__(self) -> int:
        return len(self.gradients)

    def rows(self, index: Tensor) -> Tensor:
        """`(b, m)`."""
        if isinstance(self.held, Rounded):
            return self.held.rows(index)
        return self.block(index, slice(0, None)) if self.held is None else self.held[index]

    def block(self, index: Tensor, columns: slice) -> Tensor:
        """`(b, c)`, computed; 0 of a picture from itself."""
        square = self.norms.square()
        product = self.gradients[index].inner(self.gradients[columns])
        apart = (square[index][:, None] + square[columns] - 2 * product).clamp_min_(0).sqrt_()
        own = index - columns.start
        here = ((own >= 0) & (own < apart.shape[1])).nonzero()[:, 0]
        apart[here, own[here]] = 0
        return apart

    def lookup(self) -> Callable[[Tensor], Tensor]:
        """Positions -> similarities `(b, m)`: the largest distance less each."""
        return lambda index: self.most - self.rows(index) + OFFSET

    def nearest(self, picks: Tensor) -> Tensor:
        """Which of the pictures `picks` `(k,)` each is nearest to, `(m,)` from 0 to k - 1; the first of equals."""
        everyone = torch.arange(len(self), device=self.norms.device)
        parts = everyone.split(max(1, ENTRIES // len(self)))
        return torch.cat([self.rows(part)[:, picks].argmin(1) for part in parts])
