"""The frozen transformer block both towers are made of, in pieces that can be taken apart."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from cliptune.backbones.frozen_linear import FrozenLinear
from cliptune.backbones.prefix_kv import PrefixKeyValues
from cliptune.errors import UserError
from cliptune.types import KeyValues

#: x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, so the factor goes into the frozen weights on either side.
QUICK_GELU_FACTOR = 1.702


def layer_norm(x: Tensor, norm: Any) -> Tensor:
    """`norm` as stored (LayerNorm or none); statistics are float32 in PyTorch's kernels whatever `x` is."""
    if isinstance(norm, nn.LayerNorm):
        return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)
    return norm(x)


class FrozenBlock:
    """One pre-norm block of open_clip, `x + MHA(LN1 x)`, then `x + MLP(LN2 x)`; weights read in place, never trained.

    Raises `UserError` for block types other than open_clip's standard one.
    """

    def __init__(self, block: Any, onednn: frozenset[torch.dtype] = frozenset()):
        if type(block) is not ResidualAttentionBlock:
            raise UserError(
                "prompts need open_clip's standard transformer block, but this tower has "
                f"{type(block).__name__}; choose another backbone"
            )
        self.block: Any = block
        self.heads = block.attn.num_heads
        weight, bias, width = block.attn.in_proj_weight, block.attn.in_proj_bias, block.attn.embed_dim
        self.qkv = FrozenLinear(weight, bias, onednn)
        # Queries apart from keys and values, for the last block, where one token a sequence asks.
        self.q = FrozenLinear(weight[:width], bias[:width], onednn)
        self.kv = FrozenLinear(weight[width:], bias[width:], onednn)
        self.out = FrozenLinear(block.attn.out_proj.weight, block.attn.out_proj.bias, onednn)
        mlp: Any = block.mlp
        quick = isinstance(mlp.gelu, QuickGELU)
        plain = isinstance(mlp.gelu, nn.GELU) and mlp.gelu.approximate == "none"
        act = F.silu if quick else F.gelu if plain else mlp.gelu
        fc, proj = mlp.c_fc, mlp.c_proj
        self.fc = FrozenLinear(fc.weight, fc.bias, onednn, QUICK_GELU_FACTOR if quick else 1.0, act)
        self.proj = FrozenLinear(proj.weight, None, onednn, 1 / QUICK_GELU_FACTOR if quick else 1.0)
        self.proj.bias = proj.bias.detach()  # comes after the division by the factor

    def normed(self, x: Tensor) -> Tensor:
        """LN1, the block's first step, on its own because Grad-CAM reads and differentiates it."""
        return layer_norm(x, self.block.ln_1)

    def lent(self, tokens: KeyValues | None, like: Tensor) -> PrefixKeyValues | None:
        """Keys and values of `tokens`, computed in `like`'s type; None where there are no tokens."""
        if tokens is None or not sum(map(len, tokens.options)):
            return None
        packed = self.kv(self.normed(torch.cat(tokens.options).to(like.dtype)))
        keys, values = (self._heads(x) for x in packed.chunk(2, -1))
        return PrefixKeyValues(keys, values, tuple(map(len, tokens.options)), tokens.weights)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, lent: PrefixKeyValues | None = None
    ) -> Tensor:
        """Softmax attention of queries `(b, n, width)` on keys and values `(b, m, width)` -> `(b, n, width)`.

        mask: broadcastable to `(b, heads, n, m)`, True where a key may be seen. lent: seen by every query as well.
        """
        q, k, v = (self._heads(x) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, mask) if lent is None else lent.attend(q, k, v, mask)
        return attended.transpose(1, 2).flatten(2)

    def _heads(self, x: Tensor) -> Tensor:
        """`(..., n, width)` -> `(..., heads, n, head_width)`."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block for tokens `x` whose attention came out as `attended`, not yet projected."""
        x = x + self.block.ls_1(self.out(attended))
        hidden = self.fc(layer_norm(x, self.block.ln_2))
        return x + self.block.ls_2(self.proj(hidden))

    def __call__(self, x: Tensor, extra: Tensor | None = None, lent: KeyValues | None = None) -> Tensor:
        """The whole block on `(b, n, width)`, every token seeing every other.

        extra: tokens `(m, width)` that all see as well and that go no further: nothing else is computed for them.
        lent: the same, in several options whose attention is mixed.
        """
        q, k, v = self.qkv(self.normed(x)).chunk(3, -1)
        if extra is not None:
            own = self.qkv(self.normed(extra)).chunk(3, -1)
            k, v = (torch.cat([now, more.expand(len(x), -1, -1)], 1) for now, more in zip((k, v), own[1:], strict=True))
        return self.finish(x, self.attend(q, k, v, None, self.lent(lent, x)))
