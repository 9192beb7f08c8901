"""A linear classifier on image features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cliptune.types import Prompts


class LinearHead(nn.Module):
    """Logits `f W^T + b` of normalised image features `(b, d)`, used instead of cosines with text.

    Args:
        classes, width: The shape of `W`. `W` and `b` start at zero.
    """

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self) -> Prompts:
        return Prompts(head=self.logits, per_class=True)

    def logits(self, image: Tensor, logits: Tensor, classnames: Sequence[str]) -> Tensor:
        return image @ self.weight.T + self.bias
