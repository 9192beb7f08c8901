"""A linear classifier on both towers' features, each adjusted per channel (DePT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cliptune.types import Prompts

#: Name of the head in `Prompts.parts`.
HEAD = "channel_adjusted"


class ChannelAffine(nn.Module):
    """`scale * x + bias` per channel of features `(..., width)`, the identity at first."""

    def __init__(self, width: int):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.float() + self.bias


class ChannelAdjustedHead(nn.Module):
    """Logits of `classnames` from features before normalisation, by one linear layer for both towers.

    Args:
        classnames: Names of the classes.
        linear: Linear layer `d -> C`.
    """

    def __init__(self, classnames: Sequence[str], linear: nn.Linear):
        super().__init__()
        self.classnames = tuple(classnames)
        self.image, self.text = ChannelAffine(linear.in_features), ChannelAffine(linear.in_features)
        self.linear = linear

    def image_logits(self, image: Tensor) -> Tensor:
        """Logits `(b, C)` of image features `(b, d)`."""
        return self.linear(self.image(image))

    def text_logits(self, text: Tensor) -> Tensor:
        """Logits `(n, C)` of text features `(n, d)`."""
        return self.linear(self.text(text))

    def columns(self, classnames: Sequence[str]) -> list[int] | None:
        """The columns of `classnames`, or None if one of them is not a class of the head."""
        if tuple(classnames) == self.classnames:
            return list(range(len(self.classnames)))  # two classes may have the same name
        index = {name: column for column, name in enumerate(self.classnames)}
        return [index[name] for name in classnames] if set(classnames) <= index.keys() else None


class WithHead(nn.Module):
    """A learner with a head in `Prompts.parts`. base: A learner whose call returns `Prompts`."""

    def __init__(self, base: nn.Module, head: ChannelAdjustedHead):
        super().__init__()
        self.base, self.head = base, head

    def forward(self, *inputs: Any) -> Prompts:
        prompts: Prompts = self.base(*inputs)
        return replace(prompts, parts={**prompts.parts, HEAD: self.head})
