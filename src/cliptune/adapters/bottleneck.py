"""Bottleneck adapters on features (CLIP-Adapter, CoPrompt)."""

from __future__ import annotations

from dataclasses import replace

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


class AdaptedPrompts(nn.Module):
    """A learner of prompts, and an adapter on the features of each tower.

    Args:
        prompts: A learner whose call returns `Prompts`.
        image, text: Map features `(n, d)` to features `(n, d)`, before they are normalised.
    """

    def __init__(self, prompts: nn.Module, image: BottleneckAdapter, text: BottleneckAdapter):
        super().__init__()
        self.prompts, self.image, self.text = prompts, image, text

    def forward(self) -> Prompts:
        return replace(self.prompts(), adapt_image=self.image, adapt_text=self.text)
