"""Learned context in front of, amid or behind the class name (CoOp)."""

from __future__ import annotations

from torch import Tensor, nn

from cliptune.types import Prompts


class TextContext(nn.Module):
    """Context vectors for layer 0 of the text tower.

    Args: start: `(n_ctx, width)`, shared by all classes, or `(n_classes, n_ctx, width)`, one set a class.
    """

    def __init__(self, start: Tensor):
        super().__init__()
        self.text = nn.Parameter(start.clone())

    def forward(self) -> Prompts:
        return Prompts(text=self.text)
