"""Cosine similarities of gradients, in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.coresets.common.gradients import Gradients
from cliptune.coresets.common.rounded import Rounded

#: Up to this many pictures all similarities are held.
DENSE = 4096
#: Similarities held together otherwise.
ENTRIES = 16_000_000


@dataclass(frozen=True)
class CosineKernel:
    """s_ij = (1 + cos(G_i, G_j)) / 2 among m gradients, computed when asked for unless m is small.

    soft: added to the cosine's denominator ||G_i|| ||G_j||; without it, a gradient of 0 has the cosine 0.
    """

    gradients: Gradients
    norms: Tensor
    soft: float = 0.0
    matrix: Tensor | None = None

    @classmethod
    def of(cls, gradients: Gradients, soft: float = 0.0) -> CosineKernel:
        """Of `gradients`, of whatever length."""
        kernel = cls(gradients if soft else gradients.unit(), gradients.norms(), soft)
        everyone = torch.arange(len(kernel), device=kernel.norms.device)
        return cls(kernel.gradients, kernel.norms, soft, kernel.rows(everyone) if len(kernel) <= DENSE else None)

    def __len__(self) -> int:
        return len(self.gradients)

    def rows(self, index: Tensor) -> Tensor:
        """`(b, m)`."""
        return self.block(index, slice(None)) if self.matrix is None else self.matrix[index]

    def block(self, index: Tensor, columns: slice) -> Tensor:
        """`(b, c)`, computed."""
        cosine = self.gradients[index].inner(self.gradients[columns])
        if self.soft:
            cosine /= self.norms[index][:, None] * self.norms[columns] + self.soft
        return cosine.add_(1).mul_(0.5)

    def lookup(self) -> Callable[[Tensor], Tensor]:
        """`rows` for who asks for each row several times: all are computed once, where they can be held."""
        if self.matrix is not None or not Rounded.fits(len(self)):
            return self.rows
        return Rounded.of(self.block, len(self), 1.0, self.norms.device).rows

    def sums(self) -> Tensor:
        """sum_i s_ij `(m,)`."""
        if self.soft or self.matrix is not None:
            everyone = torch.arange(len(self), device=self.norms.device)
            return torch.cat([self.rows(part).sum(1) for part in everyone.split(max(1, ENTRIES // len(self)))])
        return self.gradients.inner_mean(self.gradients).add_(1).mul_(0.5 * len(self))

    def diagonal(self) -> Tensor:
        """s_jj `(m,)`: 1, or 1/2 where a gradient is 0."""
        square = self.norms.square()
        return (square / (square + self.soft) if self.soft else (square > 0).to(square.dtype)).add(1).mul_(0.5)
