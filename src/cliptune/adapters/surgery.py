"""Surgery blocks: a feed-forward block on output features, mixed in by a ratio that is not trained (RESTORE)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from cliptune.types import Prompts


class Surgery(nn.Module):
    """`(1 - r) x + r A(x)` with `A(x) = x + FFN(LN(x))`, which equals `x + r FFN(LN(x))`, on features `(n, width)`.

    Args:
        widen, narrow: Linear layers `width -> h` and `h -> width`; the FFN applies them with QuickGELU in between.
        ratio: r, a buffer that is saved with the parameters and not trained.
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
    """A learner of prompts, and a surgery block on the features of each tower.

    Args:
        prompts: A learner whose call returns `Prompts`.
        text, image: The surgery blocks of the towers.
        layers: Number of layers whose deep tokens are compared between the towers.

    Buffers `text_norms` and `image_norms` `(layers,)` hold the norms of the deep tokens before the first step, zero
    until they are set. They are saved with the parameters, so that resumed training measures from the same start.
    """

    text_norms: Tensor
    image_norms: Tensor

    def __init__(self, prompts: nn.Module, text: Surgery, image: Surgery, layers: int):
        super().__init__()
        self.prompts, self.text, self.image = prompts, text, image
        self.register_buffer("text_norms", torch.zeros(layers))
        self.register_buffer("image_norms", torch.zeros(layers))

    def forward(self) -> Prompts:
        return replace(self.prompts(), adapt_text=self.text, adapt_image=self.image)
