"""open_clip's vision transformer with learned tokens per layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cliptune.backbones.blocks import FrozenBlock, at_layer, layer_norm
from cliptune.types import KeyValues


class ImageTower:
    """open_clip's vision transformer on normalised images, with learned tokens per layer.

    Tokens that the next layer replaces are attended to but not computed further. The last block is computed for the
    class token alone, and nothing before the first block has an autograd graph. Results equal those of the plain
    computation up to rounding.
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset()):
        self.module = module
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]

    def __call__(
        self, images: Tensor, prompts: Sequence[Tensor] = (), prefix_kv: Sequence[KeyValues | None] = ()
    ) -> Tensor:
        """Un-normalised features `(b, embed_dim)` of `images` `(b, 3, H, W)`.

        prompts: Tokens `(n, width)` per layer. prefix_kv: Prefix tokens per layer, or None.
        """
        x = self.before_last(images, prompts, prefix_kv)
        return self.from_last(x, self.blocks[-1].norm1(x), prefix_kv)

    def with_block_features(
        self, images: Tensor, prompts: Sequence[Tensor] = (), prefix_kv: Sequence[KeyValues | None] = ()
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Un-normalised features `(b, embed_dim)`, and the class token `(b, width)` after each block."""
        record: list[Tensor] = []
        x = self._before_last(images, prompts, prefix_kv, record)
        last = self._class_token(x, self.blocks[-1].norm1(x), prefix_kv)
        return self._features(last), (*record, last)

    def before_last(
        self, images: Tensor, prompts: Sequence[Tensor] = (), prefix_kv: Sequence[KeyValues | None] = ()
    ) -> Tensor:
        """Input of the last block, `(b, 1 + patches + n, width)`: class token, patches, the prompts of that layer."""
        return self._before_last(images, prompts, prefix_kv, None)

    def from_last(self, x: Tensor, normed: Tensor, prefix_kv: Sequence[KeyValues | None] = ()) -> Tensor:
        """Features `(b, embed_dim)` from the last block's input `x` and its LN1 output `normed`."""
        return self._features(self._class_token(x, normed, prefix_kv))

    def values(self, x: Tensor) -> Tensor:
        """Values of the last block's attention for its input `x`, projected like the class token's output:
        `(b, n, embed_dim)` (MaskCLIP)."""
        block = self.blocks[-1]
        value = block.kv(block.norm1(x)).chunk(2, -1)[1]
        return self._features(block.out(value))

    def _before_last(
        self,
        images: Tensor,
        prompts: Sequence[Tensor],
        prefix_kv: Sequence[KeyValues | None],
        record: list[Tensor] | None,
    ) -> Tensor:
        """Input of the last block; appends the class token after each block before it to `record`, if given."""
        with torch.no_grad():  # nothing before the prompts trains
            x = self.module.conv1(images).flatten(2).transpose(1, 2)
            first = self.module.class_embedding.to(x.dtype).expand(len(x), 1, -1)
            x = torch.cat([first, x], 1) + self.module.positional_embedding.to(x.dtype)
            x = layer_norm(x, self.module.ln_pre)
        for i, block in enumerate(self.blocks):
            extra = None
            if i < len(prompts):
                extra = prompts[i].to(x.dtype)
                if i == 0:  # `ln_pre` acts on each token alone
                    extra = layer_norm(extra, self.module.ln_pre)
                if i == len(prompts) - 1:  # no later layer replaces these, so they pass all further blocks
                    x, extra = torch.cat([x, extra.expand(len(x), -1, -1)], 1), None
            if i < len(self.blocks) - 1:
                x = block(x, extra, at_layer(prefix_kv, i))
                if record is not None:
                    record.append(x[:, 0])
        return x

    def _class_token(self, x: Tensor, normed: Tensor, prefix_kv: Sequence[KeyValues | None]) -> Tensor:
        """The class token `(b, width)` after the last block, from its input `x` and LN1 output `normed`."""
        block = self.blocks[-1]
        k, v = block.kv(normed).chunk(2, -1)
        prefix = block.prefix(at_layer(prefix_kv, len(self.blocks) - 1), x)
        attended = block.attend(block.q(normed[:, :1]), k, v, None, prefix)
        return block.after_attention(x[:, 0], attended[:, 0])

    def _features(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.module.ln_post) @ self.module.proj
