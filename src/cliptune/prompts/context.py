"""Learned context before, around or after the class name (CoOp)."""

from __future__ import annotations

from torch import Tensor, nn

from cliptune.types import Prompts


class TextContext(nn.Module):
    """Context vectors for layer 0 of the text tower.

    Args:
        start: Initial context, `(n_ctx, width)` shared by all classes, or `(n_classes, n_ctx, width)` per class.
    """

    def __init__(self, start: Tensor):
        super().__init__()
        self.text = nn.Parameter(start.clone())

    def forward(self) -> Prompts:
        return Prompts(text=self.text)
