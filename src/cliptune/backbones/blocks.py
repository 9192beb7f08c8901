"""A frozen transformer block, split into steps that the towers combine, and functions both towers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

from cliptune.backbones.frozen_linear import FrozenLinear
from cliptune.backbones.frozen_norm import FrozenNorm, FrozenScale
from cliptune.backbones.frozen_tensor import FrozenTensor, compute_dtype
from cliptune.backbones.prefix_kv import PrefixKeyValues
from cliptune.errors import UserError
from cliptune.types import BlockChange, KeyValues

Linear = Callable[[Tensor], Tensor]
#: x * sigmoid(1.702 x) = silu(1.702 x) / 1.702, so the factor is folded into the frozen weights on either side.
QUICK_GELU_FACTOR = 1.702


class FrozenProjection:
    """Maps tokens to the feature space. open_clip stores the projection as a linear layer, a matrix `(in, out)`, or
    None for the identity."""

    def __init__(self, projection: nn.Linear | Tensor | None):
        linear = isinstance(projection, nn.Linear)
        self._linear = FrozenLinear(projection.weight, projection.bias, frozenset()) if linear else None
        self._matrix = None if linear or projection is None else FrozenTensor(projection)

    def __call__(self, x: Tensor) -> Tensor:
        if self._linear is not None:
            return self._linear(x)
        return x if self._matrix is None else x @ self._matrix.to(compute_dtype(x))


def at_layer(layers: Sequence[KeyValues | None], i: int) -> KeyValues | None:
    """The prefix tokens of layer `i`, or None."""
    return layers[i] if i < len(layers) else None


class FrozenBlock:
    """One pre-norm block of open_clip, `x + MHA(LN1 x)`, then `x + MLP(LN2 x)`, on frozen weights.

    onednn: input types whose linear layers use oneDNN (see `frozen_linear.onednn_dtypes`). Raises `UserError` for block
    types other than `ResidualAttentionBlock`.
    """

    def __init__(self, block: Any, onednn: frozenset[torch.dtype] = frozenset()):
        if type(block) is not ResidualAttentionBlock:
            raise UserError(
                "prompts need open_clip's standard transformer block, but this tower has "
                f"{type(block).__name__}; choose another backbone"
            )
        self.block: Any = block
        self.heads = block.attn.num_heads
        self._ln_1, self._ln_2 = FrozenNorm(block.ln_1), FrozenNorm(block.ln_2)
        self._ls_1, self._ls_2 = FrozenScale(block.ls_1), FrozenScale(block.ls_2)
        self.change = BlockChange()
        attn, mlp = self.block.attn, self.block.mlp
        self.set_weights(attn.in_proj_weight, attn.out_proj.weight, mlp.c_fc.weight, mlp.c_proj.weight, onednn)

    def set_weights(self, qkv: Tensor, out: Tensor, fc: Tensor, proj: Tensor, onednn: frozenset[torch.dtype]) -> None:
        """Build the linear layers from these weights and the biases of the block."""
        self.onednn = onednn
        attn, mlp = self.block.attn, self.block.mlp
        bias, width = attn.in_proj_bias, attn.embed_dim
        quick = isinstance(mlp.gelu, QuickGELU)
        exact = isinstance(mlp.gelu, nn.GELU) and mlp.gelu.approximate == "none"
        act = F.silu if quick else F.gelu if exact else mlp.gelu
        fold = QUICK_GELU_FACTOR if quick else 1.0
        self.qkv: Linear = FrozenLinear(qkv, bias, onednn)
        # Separate queries for the last block, where one token per sequence attends.
        self.q: Linear = FrozenLinear(qkv[:width], bias[:width], onednn)
        self.kv: Linear = FrozenLinear(qkv[width:], bias[width:], onednn)
        self.out: Linear = FrozenLinear(out, attn.out_proj.bias, onednn)
        self.fc: Linear = FrozenLinear(fc, mlp.c_fc.bias, onednn, fold, act)
        # The bias is added after the factor is divided out.
        self.proj: Linear = FrozenLinear(proj, mlp.c_proj.bias, onednn, 1 / fold, scale_bias=False)

    def norm1(self, x: Tensor) -> Tensor:
        """LN1, the first step of the block. Grad-CAM reads and differentiates its output."""
        return self._ln_1(x, self.change.norm.get("ln_1"))

    def prefix(self, tokens: KeyValues | None, like: Tensor) -> PrefixKeyValues | None:
        """Keys and values of prefix `tokens`, computed in the type of `like`; None if there are no tokens."""
        if tokens is None or not sum(map(len, tokens.options)):
            return None
        kv = self.kv(self.norm1(torch.cat(tokens.options).to(like.dtype)))
        keys, values = (self._split_heads(x) for x in kv.chunk(2, -1))
        return PrefixKeyValues(keys, values, tuple(map(len, tokens.options)), tokens.weights)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, prefix: PrefixKeyValues | None = None
    ) -> Tensor:
        """Softmax attention of queries `(b, n, width)` over keys and values `(b, m, width)`: `(b, n, width)`.

        mask: Broadcastable to `(b, heads, n, m)`, True for a visible key. prefix: Keys and values that every query sees
            as well.
        """
        q, k, v = (self._split_heads(x) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, mask) if prefix is None else prefix.attend(q, k, v, mask)
        return attended.transpose(1, 2).flatten(2)

    def _split_heads(self, x: Tensor) -> Tensor:
        """`(..., n, width)` -> `(..., heads, n, head_width)`."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

    def after_attention(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the block for tokens `x`, given their attention outputs before the output projection."""
        more = None if self.change.branch is None else self.change.branch(x)
        x = x + self._ls_1(self.out(attended))
        hidden = self.fc(self._ln_2(x, self.change.norm.get("ln_2")))
        x = x + self._ls_2(self.proj(hidden))
        return x if more is None else x + more

    def __call__(self, x: Tensor, extra: Tensor | None = None, prefix: KeyValues | None = None) -> Tensor:
        """The whole block on `(b, n, width)` with full attention.

        extra: Tokens `(m, width)` or `(b, m, width)` that all tokens see as well, without any further computation.
        prefix: Prefix tokens, whose options are mixed.
        """
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        if extra is not None:
            own = self.qkv(self.norm1(extra)).chunk(3, -1)
            k, v = (
                torch.cat([now, more.expand(x.shape[0], -1, -1)], 1) for now, more in zip((k, v), own[1:], strict=True)
            )
        return self.after_attention(x, self.attend(q, k, v, None, self.prefix(prefix, x)))
