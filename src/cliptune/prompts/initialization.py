"""How learned tokens and projections start, each from a generator that the caller passes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


#: Standard deviation of random tokens in the whole family.
TOKEN_STD = 0.02


def random_tokens(n: int, width: int, generator: Generator) -> Tensor:
    """`(n, width)` of N(0, 0.02^2)."""
    import torch

    return torch.randn(n, width, generator=generator) * TOKEN_STD


def init_linear(inputs: int, outputs: int, generator: Generator, bias: bool = True) -> nn.Linear:
    """A linear layer with PyTorch's default start, U(+-1/sqrt(inputs)), drawn from `generator`."""
    from torch import nn

    layer = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer


def words_or_random(words: str, n_ctx: int, tokens: int) -> str:
    """`words` if its `tokens` can start `n_ctx` vectors, else "" with a warning: vectors without a word start at
    random."""
    if not words or tokens >= n_ctx:
        return words
    warnings.warn(f"{words!r} has {tokens} tokens, too few for n_ctx={n_ctx}: context starts at random", stacklevel=3)
    return ""
