"""Initial values of learned tokens and projections, drawn from the caller's generator."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


#: Standard deviation of random tokens, the same in all methods of this family.
TOKEN_STD = 0.02


def random_tokens(n: int, width: int, generator: Generator) -> Tensor:
    """Tokens `(n, width)` from N(0, 0.02^2)."""
    import torch

    return torch.randn(n, width, generator=generator) * TOKEN_STD


def init_linear(inputs: int, outputs: int, generator: Generator, bias: bool = True) -> nn.Linear:
    """A linear layer with PyTorch's default initialisation, U(-1/sqrt(inputs), 1/sqrt(inputs)), from `generator`."""
    from torch import nn

    layer = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias))
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -(inputs**-0.5), inputs**-0.5, generator=generator)
    return layer


def words_or_random(words: str, n_ctx: int, tokens: int) -> str:
    """`words` if its `tokens` suffice for `n_ctx` vectors; otherwise warn and return "", for a random start."""
    if not words or tokens >= n_ctx:
        return words
    warn_user(f"{words!r} has {tokens} tokens, too few for n_ctx={n_ctx}: context starts at random")
    return ""
