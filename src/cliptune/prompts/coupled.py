"""Text tokens in several layers, each projected to the image tower (MaPLe)."""

from __future__ import annotations

import copy

from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import init_linear, random_tokens
from cliptune.types import Prompts


class CoupledPrompts(nn.Module):
    """Text tokens for the first `depth` layers, and image tokens of the same layers through one linear layer each.

    Args:
        first: Initial text tokens of layer 0 `(n_ctx, text_width)`.
        depth: Number of prompted layers, at least 1.
        image_width: Width of the image tower's tokens.
        text_depth, image_depth: Number of blocks of the towers; a tower with fewer than `depth` gets fewer tokens.
        generator: Initialises the other tokens and the linear layers.
    """

    def __init__(
        self, first: Tensor, depth: int, image_width: int, text_depth: int, image_depth: int, generator: Generator
    ):
        super().__init__()
        n_ctx, text_width = first.shape
        self.text_depth = text_depth
        deeper = [random_tokens(n_ctx, text_width, generator) for _ in range(depth - 1)]
        self.text = nn.ParameterList([first.clone(), *deeper])
        # As in the released code, the deep projections start as copies of one layer; the first is separate.
        proj, deep = init_linear(text_width, image_width, generator), init_linear(text_width, image_width, generator)
        coupled = min(depth, image_depth)
        self.to_image = nn.ModuleList([proj, *(copy.deepcopy(deep) for _ in range(coupled - 1))])

    def forward(self) -> Prompts:
        image = tuple(project(tokens) for project, tokens in zip(self.to_image, self.text, strict=False))
        return Prompts(self.text[0], tuple(self.text)[1 : self.text_depth], image)
