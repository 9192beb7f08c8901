"""Tokens of both towers from one shared table, and the image feature that they become (MMRL, MMRL++)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cliptune.types import Prompts

#: Name of the projection of the image tower's learned tokens in `Prompts.parts`.
PROJECTION = "token_projection"


class TokenProjection(nn.Module):
    """The mean of learned tokens after the image tower, projected to the width of features (MMRL).

    weight: `(image_width, d)`.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def matrix(self) -> Tensor:
        """The projection `(image_width, d)`."""
        return self.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Features `(b, d)` of tokens `(b, n, image_width)`."""
        return tokens.float().mean(1) @ self.matrix()


class LowRankProjection(TokenProjection):
    """The frozen projection of the class token plus a learned product, which is zero at first (MMRL++).

    Args:
        frozen: The image tower's projection `(image_width, d)`; not a part of the state dict.
        rank: Rank of the product.
        generator: Initialises its left factor.
    """

    frozen: Tensor

    def __init__(self, frozen: Tensor, rank: int, generator: Generator):
        nn.Module.__init__(self)
        width, features = frozen.shape
        self.register_buffer("frozen", frozen.detach().float().clone(), persistent=False)
        self.left = nn.Parameter(_kaiming(width, rank, generator))
        self.right = nn.Parameter(torch.zeros(rank, features))

    def matrix(self) -> Tensor:
        return self.frozen + self.left @ self.right


class SharedLinear(nn.Module):
    """Linear layers with one weight, to which each adds a low-rank term and its own bias (MMRL++).

    `x (W + A_j B_j).T + b_j`; all B_j are zero at first, so the layers start equal.
    """

    def __init__(self, first: nn.Linear, layers: int, rank: int, generator: Generator):
        super().__init__()
        outputs, inputs = first.weight.shape
        self.weight = nn.Parameter(first.weight.detach().clone())
        self.left = nn.ParameterList([_kaiming(outputs, rank, generator) for _ in range(layers)])
        self.right = nn.ParameterList([torch.zeros(rank, inputs) for _ in range(layers)])
        self.bias = nn.ParameterList([first.bias.detach().clone() for _ in range(layers)])

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs `(n, outputs)` of all layers for `x` `(n, inputs)`."""
        every = zip(self.left, self.right, self.bias, strict=True)
        return [F.linear(x, self.weight + left @ right, bias) for left, right, bias in every]


class SeparateLinear(nn.Module):
    """Independent linear layers that start as copies of one (MMRL)."""

    def __init__(self, first: nn.Linear, layers: int):
        super().__init__()
        self.layers = nn.ModuleList([copy.deepcopy(first) for _ in range(layers)])

    def forward(self, x: Tensor) -> list[Tensor]:
        """The outputs `(n, outputs)` of all layers for `x` `(n, inputs)`."""
        return [layer(x) for layer in self.layers]


class RepresentationTokens(nn.Module):
    """A table of tokens, mapped to tokens of both towers at some of their layers.

    Args:
        table: Initial tokens `(n, width)`.
        layers: The layers that take mapped tokens, counted from 0, ascending.
        to_text, to_image: Map the table to tokens of each of these layers.
        projection: Makes a feature of the tokens that leave the image tower.
        mix: Share of a layer's own tokens (see `Prompts.mix`).
    """

    def __init__(
        self,
        table: Tensor,
        layers: Sequence[int],
        to_text: SeparateLinear | SharedLinear,
        to_image: SeparateLinear | SharedLinear,
        projection: TokenProjection,
        mix: float = 1.0,
    ):
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.layers, self.mix = tuple(layers), mix
        self.to_text, self.to_image, self.projection = to_text, to_image, projection

    def forward(self) -> Prompts:
        return Prompts(
            image=self._at_layers(self.to_image(self.table)),
            text_inserted=self._at_layers(self.to_text(self.table)),
            mix=self.mix,
            input_norm=False,
            parts={PROJECTION: self.projection},
        )

    def _at_layers(self, tokens: Iterable[Tensor]) -> tuple[Tensor | None, ...]:
        own = dict(zip(self.layers, tokens, strict=True))
        return tuple(own.get(i) for i in range(1 + self.layers[-1]))


def _kaiming(rows: int, columns: int, generator: Generator) -> Tensor:
    """`(rows, columns)` from PyTorch's Kaiming initialisation with a = sqrt(5): U(-c, c) with c = 1/sqrt(columns)."""
    return (2 * torch.rand(rows, columns, generator=generator) - 1) * columns**-0.5
