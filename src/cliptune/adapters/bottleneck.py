"""Bottleneck adapters on features (CLIP-Adapter)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cliptune.types import Prompts


class BottleneckAdapter(nn.Module):
    """`ratio * up(relu(down(f))) + (1 - ratio) * f` of features `(n, d)`.

    Args:
        down, up: Linear layers `d -> h` and `h -> d`.
        ratio: Share of the adapted features.
        final_relu: Whether a second ReLU follows `up`.
    """

    def __init__(self, down: nn.Linear, up: nn.Linear, ratio: float, final_relu: bool = False):
        super().__init__()
        self.down, self.up = down, up
        self.ratio, self.final_relu = ratio, final_relu

    def forward(self, features: Tensor) -> Tensor:
        adapted = self.up(F.relu(self.down(features)))
        adapted = F.relu(adapted) if self.final_relu else adapted
        return self.ratio * adapted + (1 - self.ratio) * features


class FeatureAdapters(nn.Module):
    """A learner that adapts image features, text features or both, before they are normalised.

    Args:
        image, text: Modules that map features `(n, d)` to features `(n, d)`, or None.
    """

    def __init__(self, image: nn.Module | None, text: nn.Module | None = None):
        super().__init__()
        self.image, self.text = image, text

    def forward(self) -> Prompts:
        return Prompts(adapt_image=self.image, adapt_text=self.text)
