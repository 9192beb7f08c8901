"""Sentences without padding: what they share once, then each one's own tokens; padded for attention alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.backbones.sentences import Sentences


@dataclass(frozen=True)
class Packing:
    """Where the tokens of `n` sentences stand in one list of `prefix + t`: the shared prefix, then each sentence's own.

    row, position: `(prefix + t,)` the sentence and the position each token is read from. last: `(n,)` each end-of-text.
    asks, seen: `(t,)` where own tokens stand among `n * longest` padded queries and `n * (prefix + longest)` padded
    keys.
    inside: `(n, longest)`, True for a token.
    """

    prefix: int
    row: Tensor
    position: Tensor
    last: Tensor
    asks: Tensor
    seen: Tensor
    inside: Tensor

    @staticmethod
    def of(sentences: Sentences, prefix: int) -> Packing:
        """Pack `end - prefix + 1` own tokens a sentence."""
        device = sentences.ids.device
        lengths = sentences.end - prefix + 1
        longest = int(lengths.max())
        inside = torch.arange(longest, device=device) < lengths[:, None]
        row, local = inside.nonzero(as_tuple=True)
        shared = torch.arange(prefix, device=device)
        return Packing(
            prefix,
            torch.cat([torch.zeros_like(shared), row]),
            torch.cat([shared, prefix + local]),
            prefix + lengths.cumsum(0) - 1,
            row * longest + local,
            row * (prefix + longest) + prefix + local,
            inside,
        )

    def causal(self) -> tuple[Tensor, Tensor]:
        """Who sees whom: `(prefix, prefix)` within the prefix and `(longest, prefix + longest)` for own tokens."""
        own = torch.ones(self.inside.shape[1], self.inside.shape[1], dtype=torch.bool, device=self.inside.device)
        shared = own.new_ones(self.prefix, self.prefix)
        return shared.tril(), torch.cat([own.new_ones(len(own), self.prefix), own.tril()], 1)

    def spread(self, packed: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """Take packed columns `(prefix + t, c)` apart, the first `queries` of which only own tokens need.

        Returns the prefix `(1, prefix, c)`, queries `(n, longest, queries)` and, with the prefix's repeated in front,
        the other columns `(n, prefix + longest, c - queries)`. Padding is zero; it stands after the end, where no
        causal query looks.
        """
        return _Spread.apply(packed, self, queries)

    def gather(self, shared: Tensor, own: Tensor) -> Tensor:
        """Pack `(1, prefix, c)` and padded `(n, longest, c)` into `(prefix + t, c)`."""
        return _Gather.apply(shared, own, self)


class _Spread(torch.autograd.Function):
    # Indexing's own backward adds row by row because rows might repeat. Only the prefix's do, and those are one sum.

    @staticmethod
    def forward(ctx, packed: Tensor, packing: Packing, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        ctx.packing = packing
        (n, longest), prefix = packing.inside.shape, packing.prefix
        shared, own = packed[:prefix], packed[prefix:]
        asked = packed.new_zeros(n * longest, queries).index_copy_(0, packing.asks, own[:, :queries])
        seen = packed.new_zeros(n * (prefix + longest), packed.shape[1] - queries).index_copy_(
            0, packing.seen, own[:, queries:]
        )
        seen = seen.unflatten(0, (n, -1))
        seen[:, :prefix] = shared[:, queries:]
        return shared[None].clone(), asked.unflatten(0, (n, -1)), seen

    @staticmethod
    def backward(ctx, *grads: Tensor):
        shared, asked, seen = grads
        packing, prefix, queries = ctx.packing, ctx.packing.prefix, asked.shape[2]
        grad = shared.new_empty(len(packing.row), shared.shape[2])
        grad[:prefix] = shared[0]
        grad[:prefix, queries:] += seen[:, :prefix].sum(0)
        grad[prefix:, :queries] = asked.flatten(0, 1).index_select(0, packing.asks)
        grad[prefix:, queries:] = seen.flatten(0, 1).index_select(0, packing.seen)
        return grad, None, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shared: Tensor, own: Tensor, packing: Packing) -> Tensor:
        ctx.packing = packing
        return torch.cat([shared[0], own.flatten(0, 1).index_select(0, packing.asks)])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        packing, (grad,) = ctx.packing, grads
        n, longest = packing.inside.shape
        own = grad.new_zeros(n * longest, grad.shape[1]).index_copy_(0, packing.asks, grad[packing.prefix :])
        return grad[None, : packing.prefix], own.unflatten(0, (n, -1)), None
