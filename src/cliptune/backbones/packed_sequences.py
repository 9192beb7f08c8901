"""Sentences without padding: what they share once, then each one's own tokens; padded for attention alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cliptune.backbones.tokenized_text import TokenizedText


@dataclass(frozen=True)
class PackedSequences:
    """Where the tokens of `n` sentences stand in one list of `prefix + t`: the shared prefix, then each sentence's own.

    With `groups`, all sentences stand there once a group, and each group has a prefix of its own: first the prefixes,
    then the own tokens, group after group. Below, `n` and `t` count those of all groups, and `prefix` is one's length.

    group, row, position: `(groups * prefix + t,)` the group, the sentence and the position each token is read from.
    last: `(n,)` each end-of-text.
    asks, seen: `(t,)` where own tokens stand among `n * longest` padded queries and `n * (prefix + longest)` padded
    keys.
    inside: `(n, longest)`, True for a token.
    """

    groups: int
    prefix: int
    group: Tensor
    row: Tensor
    position: Tensor
    last: Tensor
    asks: Tensor
    seen: Tensor
    inside: Tensor

    @staticmethod
    def of(sentences: TokenizedText, prefix: int, groups: int = 1) -> PackedSequences:
        """Pack `end - prefix + 1` own tokens a sentence, and each sentence once a group."""
        device = sentences.ids.device
        lengths = (sentences.end - prefix + 1).repeat(groups)
        longest = int(lengths.max())
        inside = torch.arange(longest, device=device) < lengths[:, None]
        row, local = inside.nonzero(as_tuple=True)
        shared = torch.arange(prefix, device=device).repeat(groups)
        owner = torch.arange(groups, device=device).repeat_interleave(prefix)
        return PackedSequences(
            groups,
            prefix,
            torch.cat([owner, row // len(sentences)]),
            torch.cat([torch.zeros_like(shared), row % len(sentences)]),
            torch.cat([shared, prefix + local]),
            groups * prefix + lengths.cumsum(0) - 1,
            row * longest + local,
            row * (prefix + longest) + prefix + local,
            inside,
        )

    def causal(self) -> tuple[Tensor, Tensor]:
        """Who sees whom: `(prefix, prefix)` within the prefix and `(longest, prefix + longest)` for own tokens."""
        own = torch.ones(self.inside.shape[1], self.inside.shape[1], dtype=torch.bool, device=self.inside.device)
        shared = own.new_ones(self.prefix, self.prefix)
        return shared.tril(), torch.cat([own.new_ones(len(own), self.prefix), own.tril()], 1)

    def repeated(self, one: Tensor) -> Tensor:
        """What is the same in all groups, `(prefix + t / groups, c)`, for each: `(groups * prefix + t, c)`."""
        if self.groups == 1:
            return one
        return torch.cat([part.repeat(self.groups, 1) for part in (one[: self.prefix], one[self.prefix :])])

    def spread(self, packed: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """Take packed columns `(groups * prefix + t, c)` apart, the first `queries` of which only own tokens need.

        Returns the prefixes `(groups, prefix, c)`, queries `(n, longest, queries)` and, with the prefix's repeated in
        front, the other columns `(n, prefix + longest, c - queries)`. Padding is zero; it stands after the end, where
        no causal query looks.
        """
        return _Spread.apply(packed, self, queries)

    def gather(self, shared: Tensor, own: Tensor) -> Tensor:
        """Pack `(groups, prefix, c)` and padded `(n, longest, c)` into `(groups * prefix + t, c)`."""
        return _Gather.apply(shared, own, self)


class _Spread(torch.autograd.Function):
    # Indexing's own backward adds row by row because rows might repeat. Only the prefix's do, and those are one sum.

    @staticmethod
    def forward(ctx, packed: Tensor, packing: PackedSequences, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        ctx.packing = packing
        (n, longest), prefix, groups = packing.inside.shape, packing.prefix, packing.groups
        shared, own = packed[: groups * prefix].unflatten(0, (groups, prefix)), packed[groups * prefix :]
        asked = packed.new_zeros(n * longest, queries).index_copy_(0, packing.asks, own[:, :queries])
        seen = packed.new_zeros(n * (prefix + longest), packed.shape[1] - queries).index_copy_(
            0, packing.seen, own[:, queries:]
        )
        seen = seen.unflatten(0, (n, -1))
        seen.unflatten(0, (groups, -1))[:, :, :prefix] = shared[:, None, :, queries:]
        return shared.clone(), asked.unflatten(0, (n, -1)), seen

    @staticmethod
    def backward(ctx, *grads: Tensor):
        shared, asked, seen = grads
        packing, groups, prefix, queries = ctx.packing, ctx.packing.groups, ctx.packing.prefix, asked.shape[2]
        first = groups * prefix
        grad = shared.new_empty(len(packing.row), shared.shape[2])
        grad[:first] = shared.flatten(0, 1)
        grad[:first, queries:] += seen.unflatten(0, (groups, -1))[:, :, :prefix].sum(1).flatten(0, 1)
        grad[first:, :queries] = asked.flatten(0, 1).index_select(0, packing.asks)
        grad[first:, queries:] = seen.flatten(0, 1).index_select(0, packing.seen)
        return grad, None, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shared: Tensor, own: Tensor, packing: PackedSequences) -> Tensor:
        ctx.packing = packing
        return torch.cat([shared.flatten(0, 1), own.flatten(0, 1).index_select(0, packing.asks)])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        packing, (grad,) = ctx.packing, grads
        (n, longest), first = packing.inside.shape, packing.groups * packing.prefix
        own = grad.new_zeros(n * longest, grad.shape[1]).index_copy_(0, packing.asks, grad[first:])
        return grad[:first].unflatten(0, (packing.groups, -1)), own.unflatten(0, (n, -1)), None
