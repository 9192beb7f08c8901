"""Learned context before fixed attribute words, in front of another learner's context (ATPrompt)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from cliptune.types import Prompts


class AttributeContext(nn.Module):
    """A learner of text context with the vectors of each attribute in front of its own.

    Args:
        base: A learner whose call returns `Prompts` with `text` or `conditional`.
        starts: Initial vectors `(n, text_width)` of each attribute.
    """

    def __init__(self, base: nn.Module, starts: Sequence[Tensor]):
        super().__init__()
        self.base = base
        self.attributes = nn.ParameterList([start.clone() for start in starts])

    def forward(self, *inputs: Any) -> Prompts:
        prompts: Prompts = self.base(*inputs)
        own, contexts = torch.cat(list(self.attributes)), prompts.conditional
        if contexts is not None:
            return replace(prompts, conditional=_in_front(own, contexts))
        assert prompts.text is not None
        if prompts.text.ndim == 3:
            own = own.expand(len(prompts.text), -1, -1)
        return replace(prompts, text=torch.cat([own, prompts.text], -2))


def _in_front(own: Tensor, contexts: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Contexts per image with `own` `(n, width)`, which does not depend on the image, in front."""

    def both(image: Tensor) -> Tensor:
        context = contexts(image)
        return torch.cat([own.expand(len(context), -1, -1), context], 1)

    return both
