"""Surgery on output features: a feed-forward block, mixed in by a ratio that no gradient moves (RESTORE)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from cliptune.types import BlockFeatures, Prompts


class Surgery(nn.Module):
    """`(1 - r) x + r A(x)` with `A(x) = x + FFN(LN(x))`, which is `x + r FFN(LN(x))`, on features `(n, width)`.

    Args: widen, narrow: linear, `width -> h` and `h -> width`; FFN is one after the other with QuickGELU between them.
        ratio: r, kept with the learned tensors and never trained.
    """

    ratio: Tensor

    def __init__(self, widen: nn.Linear, narrow: nn.Linear, ratio: float):
        super().__init__()
        self.norm, self.widen, self.narrow = nn.LayerNorm(widen.in_features), widen, narrow
        self.register_buffer("ratio", torch.tensor(ratio))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.widen(self.norm(x))
        return x + self.ratio * self.narrow(hidden * torch.sigmoid(1.702 * hidden))


class SurgeryLearner(nn.Module):
    """A learner of prompts with surgery on what either tower says of them.

    Args: prompts: a learner whose call gives `Prompts`. layers: pairs of deep tokens whose norms are remembered.
        traced: whether losses want the pooled tokens after each block.
    text_norms, image_norms: `(layers,)`, norms of the deep tokens before the first step, zero until then. They are kept
    with the learned tensors, so that training that goes on still measures from where it began.
    """

    text_norms: Tensor
    image_norms: Tensor

    def __init__(self, prompts: nn.Module, text: Surgery, image: Surgery, layers: int, traced: bool = False):
        super().__init__()
        self.prompts, self.text, self.image, self.traced = prompts, text, image, traced
        self.register_buffer("text_norms", torch.zeros(layers))
        self.register_buffer("image_norms", torch.zeros(layers))

    def forward(self) -> Prompts:
        trail = BlockFeatures() if self.traced and self.training else None
        return replace(self.prompts(), adapt_text=self.text, adapt_image=self.image, trail=trail)
