"""Attention with prefix keys and values: tokens that are attended to but never updated (DPL)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PrefixKeyValues:
    """Keys and values that every query of a block sees in addition to its own sequence, the same for all sequences.

    keys, values: `(heads, m, head_width)` of all options, concatenated. sizes: Tokens per option, 0 for none. weights:
    `(len(sizes),)` with sum 1, which mix the attention outputs of the options; None for a single option.
    """

    keys: Tensor
    values: Tensor
    sizes: tuple[int, ...]
    weights: Tensor | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of `q` `(b, heads, n, head_width)` over `k` and `v` `(b, heads, m, head_width)` and the prefix.

        mask: Broadcastable to `(b, heads, n, m)`, True for a visible key of the sequence.
        """
        if self.weights is not None:
            return self._mixed(q, k, v, mask, self.weights)
        keys, values = (x.expand(k.shape[0], -1, -1, -1) for x in (self.keys, self.values))
        mask = None if mask is None else F.pad(mask, (len(self.keys[0]), 0), value=True)
        return F.scaled_dot_product_attention(q, torch.cat([keys, k], 2), torch.cat([values, v], 2), mask)

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, weights: Tensor) -> Tensor:
        """sum_c a_c softmax(q [k; k_c]) [v; v_c]; the scores of the sequence are computed once for all options.

        Let Z and Z_c be the sums of exponentials over the sequence and over an option. The attention of an option is
        softmax(q k) v, times Z / (Z + Z_c), plus exp(q k_c) v_c / (Z + Z_c). Logarithms of the sums avoid overflow.
        """
        q = q * q.shape[-1] ** -0.5
        scores = (q @ k.mT).float()
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        own = scores.logsumexp(-1, keepdim=True)
        sequence_share, prefix_shares = weights.new_zeros(()), []
        for weight, more in zip(weights, (q @ self.keys.mT).float().split(self.sizes, -1), strict=True):
            both = torch.logaddexp(own, more.logsumexp(-1, keepdim=True)) if more.shape[-1] else own
            sequence_share = sequence_share + weight * (own - both).exp()
            prefix_shares.append(weight * (more - both).exp())
        shared = (scores - own).exp().to(v.dtype) @ v
        return sequence_share.to(v.dtype) * shared + torch.cat(prefix_shares, -1).to(v.dtype) @ self.values
