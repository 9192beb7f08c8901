"""Independent tokens in several layers of each tower (VPT, IVLP, PromptSRC)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cliptune.errors import UserError
from cliptune.types import Prompts


class DeepPrompts(nn.Module):
    """Independent tokens for layers 0, 1, ... of the text tower and of the image tower.

    Args:
        text: Initial tokens `(n_ctx, text_width)` per layer, () for none.
        image: Initial tokens `(n_ctx, image_width)` per layer, () for none.
    """

    def __init__(self, text: Sequence[Tensor] = (), image: Sequence[Tensor] = ()):
        super().__init__()
        self.text = nn.ParameterList([start.clone() for start in text])
        self.image = nn.ParameterList([start.clone() for start in image])

    def forward(self) -> Prompts:
        text = tuple(self.text)
        return Prompts(text[0] if text else None, text[1:], tuple(self.image))


def check_depth(depth: int, layers: int, tower: str, backbone: str) -> None:
    """Raise `UserError` if `depth` exceeds the number of layers."""
    if depth > layers:
        raise UserError(
            f"a depth of {depth} is more than the {layers} layers of the {tower} tower of {backbone!r}; decrease it"
        )
