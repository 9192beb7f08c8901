"""Context vectors, and deeper tokens that a small network computes from the features of the class names (TCP)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import init_linear
from cliptune.types import Prompts

#: Ratio of the feature width to the hidden width of the network.
BOTTLENECK_FACTOR = 4


class ClassAwareContext(nn.Module):
    """Context vectors for layer 0 of the text tower, replaced at a later layer by tokens of each class.

    Args:
        start: Initial context `(n_ctx, width)`.
        features: Width of the class features that the network reads.
        block: Index of the layer, from 0, at whose input the tokens of the classes replace the context; at least 1.
        generator: Initialises the network.
    """

    def __init__(self, start: Tensor, features: int, block: int, generator: Generator):
        super().__init__()
        self.text = nn.Parameter(start.clone())
        self.block = block
        hidden = max(1, features // BOTTLENECK_FACTOR)
        self.inner, self.outer = (
            init_linear(features, hidden, generator),
            init_linear(hidden, start.numel(), generator),
        )

    def class_tokens(self, features: Tensor) -> Tensor:
        """Tokens `(C, n_ctx, width)` of classes with normalised features `(C, features)`."""
        hidden = self.inner(features)
        tokens = self.outer(hidden * torch.sigmoid(1.702 * hidden))
        return tokens.unflatten(-1, self.text.shape)

    def forward(self, features: Tensor) -> Prompts:
        deep = (*(None for _ in range(self.block - 1)), self.class_tokens(features))
        return Prompts(self.text, deep)
