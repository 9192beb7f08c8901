"""Image-conditional context: a small network maps each image feature to a shift of the context vectors (CoCoOp)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import init_linear
from cliptune.types import Prompts

#: Ratio of the feature width to the hidden width of the network.
BOTTLENECK_FACTOR = 16


class ConditionalContext(nn.Module):
    """Context vectors for layer 0 of the text tower, all shifted by one vector per image.

    Args:
        start: Initial context `(n_ctx, width)`.
        features: Width of the image features.
        generator: Initialises the network.
    """

    def __init__(self, start: Tensor, features: int, generator: Generator):
        super().__init__()
        self.text = nn.Parameter(start.clone())
        hidden = max(1, features // BOTTLENECK_FACTOR)
        self.inner, self.outer = (
            init_linear(features, hidden, generator),
            init_linear(hidden, start.shape[1], generator),
        )

    def shift(self, image: Tensor) -> Tensor:
        """Shift `(b, width)` of the context vectors, from normalised image features `(b, features)`."""
        return self.outer(F.relu(self.inner(image)))

    def contexts(self, image: Tensor) -> Tensor:
        """Context per image `(b, n_ctx, width)`: v_m + pi (CoCoOp, section 3.2)."""
        return self.text + self.shift(image)[:, None]

    def forward(self) -> Prompts:
        return Prompts(conditional=self.contexts)
