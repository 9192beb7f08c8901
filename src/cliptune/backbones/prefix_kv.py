"""Keys and values that tokens lend to a block without passing through it (DPL)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class PrefixKeyValues:
    """What every query of a block sees besides its own sequence, the same for all sequences.

    keys, values: `(heads, m, head_width)` of all options side by side. sizes: tokens of each option, 0 for none.
    weights: `(len(sizes),)`, sum 1, which mix the attention that each option gives; None where there is one option.
    """

    keys: Tensor
    values: Tensor
    sizes: tuple[int, ...]
    weights: Tensor | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention of `q` `(b, heads, n, head_width)` on `k` and `v` `(b, heads, m, head_width)` and what is lent.

        mask: broadcastable to `(b, heads, n, m)`, True where a key of the sequence may be seen.
        """
        if self.weights is not None:
            return self._mixed(q, k, v, mask, self.weights)
        keys, values = (x.expand(len(k), -1, -1, -1) for x in (self.keys, self.values))
        mask = None if mask is None else F.pad(mask, (len(self.keys[0]), 0), value=True)
        return F.scaled_dot_product_attention(q, torch.cat([keys, k], 2), torch.cat([values, v], 2), mask)

    def _mixed(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, weights: Tensor) -> Tensor:
        """sum_c a_c softmax(q [k; k_c]) [v; v_c], with the sequence's own scores computed once for all options.

        With Z and Z_c the sums of exponentials over the sequence and over an option, the option's attention is
        softmax(q k) v, times Z / (Z + Z_c), and exp(q k_c) v_c / (Z + Z_c). Logarithms of the sums keep it finite.
        """
        q = q * q.shape[-1] ** -0.5
        scores = (q @ k.mT).float()
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        own = scores.logsumexp(-1, keepdim=True)
        kept, shares = weights.new_zeros(()), []
        for weight, more in zip(weights, (q @ self.keys.mT).float().split(self.sizes, -1), strict=True):
            both = torch.logaddexp(own, more.logsumexp(-1, keepdim=True)) if more.shape[-1] else own
            kept = kept + weight * (own - both).exp()
            shares.append(weight * (more - both).exp())
        shared = (scores - own).exp().to(v.dtype) @ v
        return kept.to(v.dtype) * shared + torch.cat(shares, -1).to(v.dtype) @ self.values
