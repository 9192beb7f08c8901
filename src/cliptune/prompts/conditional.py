"""Learned context that each picture moves by what a small network makes of its feature (CoCoOp)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import init_linear
from cliptune.types import Prompts

#: The network's hidden layer is narrower than the feature by this factor.
BOTTLENECK_FACTOR = 16


class ConditionalContext(nn.Module):
    """Context vectors for layer 0 of the text tower, all shifted by one vector a picture.

    Args: start: `(n_ctx, width)`. features: width of the pictures' features.
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
        """What normalised features `(b, features)` add to every vector: `(b, width)`."""
        return self.outer(F.relu(self.inner(image)))

    def contexts(self, image: Tensor) -> Tensor:
        """A context of its own `(b, n_ctx, width)` for each picture: v_m + pi (CoCoOp, section 3.2)."""
        return self.text + self.shift(image)[:, None]

    def forward(self) -> Prompts:
        return Prompts(conditional=self.contexts)
