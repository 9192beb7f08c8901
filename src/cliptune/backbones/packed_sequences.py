"""Packed sequences: the shared prefix once, then the remaining tokens of each text without padding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cliptune.backbones.tokenized_text import TokenizedText


@dataclass(frozen=True)
class PackedSequences:
    """Index tensors that pack `n` texts into one sequence of `prefix + t` tokens, and pad them for attention.

    With `groups`, the texts are repeated once per group, and each group has its own prefix: first all prefixes, then
    the other tokens, group after group. Below, `n` and `t` count all groups, and `prefix` is the length of one prefix.

    group, row, position: `(groups * prefix + t,)`, where each packed token is read from. pool_index: `(n,)`, the packed
    index of each pooled token. query_index, key_index: `(t,)`, indices of the tokens among `n * longest` padded queries
    and `n * (prefix + longest)` padded keys. token_mask: `(n, longest)`, True for a token, False for padding.
    """

    groups: int
    prefix: int
    group: Tensor
    row: Tensor
    position: Tensor
    pool_index: Tensor
    query_index: Tensor
    key_index: Tensor
    token_mask: Tensor

    @staticmethod
    def pack(text: TokenizedText, prefix: int, groups: int = 1) -> PackedSequences:
        """Pack the tokens from `prefix` to the pooled one of each text, for each group."""
        device = text.ids.device
        lengths = (text.pool_index - prefix + 1).repeat(groups)
        longest = int(lengths.max())
        token_mask = torch.arange(longest, device=device) < lengths[:, None]
        row, local = token_mask.nonzero(as_tuple=True)
        shared = torch.arange(prefix, device=device).repeat(groups)
        owner = torch.arange(groups, device=device).repeat_interleave(prefix)
        return PackedSequences(
            groups,
            prefix,
            torch.cat([owner, row // len(text)]),
            torch.cat([torch.zeros_like(shared), row % len(text)]),
            torch.cat([shared, prefix + local]),
            groups * prefix + lengths.cumsum(0) - 1,
            row * longest + local,
            row * (prefix + longest) + prefix + local,
            token_mask,
        )

    def with_inserted(self, count: int, at: int) -> PackedSequences:
        """The index after `count` tokens that no text has are inserted at position `at` of the one prefix. Their
        `position` is -1, and those of other tokens stay."""
        longest = self.token_mask.shape[1]
        own = self.row.new_zeros(count)
        group, row, position = (
            torch.cat([x[:at], own + fill, x[at:]]) for x, fill in ((self.group, 0), (self.row, 0), (self.position, -1))
        )
        # Each text before a token, its own included, has the inserted keys in front.
        key_index = self.key_index + count * (self.query_index // longest + 1)
        return replace(
            self,
            prefix=self.prefix + count,
            group=group,
            row=row,
            position=position,
            pool_index=self.pool_index + count,
            key_index=key_index,
        )

    def causal_masks(self) -> tuple[Tensor, Tensor]:
        """Causal masks, True for a visible key: `(prefix, prefix)` and `(longest, prefix + longest)`."""
        longest = self.token_mask.shape[1]
        own = torch.ones(longest, longest, dtype=torch.bool, device=self.token_mask.device)
        shared = own.new_ones(self.prefix, self.prefix)
        return shared.tril(), torch.cat([own.new_ones(len(own), self.prefix), own.tril()], 1)

    def repeat_groups(self, one: Tensor) -> Tensor:
        """Repeat one group's packed values `(prefix + t / groups, c)` for all: `(groups * prefix + t, c)`."""
        if self.groups == 1:
            return one
        return torch.cat([part.repeat(self.groups, 1) for part in (one[: self.prefix], one[self.prefix :])])

    def pad(self, packed: Tensor, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        """Split packed values `(groups * prefix + t, c)` for attention. The first `queries` columns are queries.

        Returns all columns of the prefixes `(groups, prefix, c)`, queries `(n, longest, queries)`, and the other
        columns `(n, prefix + longest, c - queries)` with those of the prefix repeated in front. Padding is zero and
        follows the pooled token, where no causal query looks.
        """
        return _Pad.apply(packed, self, queries)

    def unpad(self, shared: Tensor, own: Tensor) -> Tensor:
        """Pack `(groups, prefix, c)` and padded `(n, longest, c)` into `(groups * prefix + t, c)`."""
        return _Unpad.apply(shared, own, self)


class _Pad(torch.autograd.Function):
    # The backward of indexing adds row by row, since rows might repeat. Only those of the prefix do, in a single sum.

    @staticmethod
    def forward(ctx, packed: Tensor, index: PackedSequences, queries: int) -> tuple[Tensor, Tensor, Tensor]:
        ctx.index = index
        (n, longest), prefix, groups = index.token_mask.shape, index.prefix, index.groups
        shared, own = packed[: groups * prefix].unflatten(0, (groups, prefix)), packed[groups * prefix :]
        query = packed.new_zeros(n * longest, queries).index_copy_(0, index.query_index, own[:, :queries])
        key = packed.new_zeros(n * (prefix + longest), packed.shape[1] - queries).index_copy_(
            0, index.key_index, own[:, queries:]
        )
        key = key.unflatten(0, (n, -1))
        key.unflatten(0, (groups, -1))[:, :, :prefix] = shared[:, None, :, queries:]
        return shared.clone(), query.unflatten(0, (n, -1)), key

    @staticmethod
    def backward(ctx, *grads: Tensor):
        shared, query, key = grads
        index, groups, prefix, queries = ctx.index, ctx.index.groups, ctx.index.prefix, query.shape[2]
        first = groups * prefix
        grad = shared.new_empty(len(index.row), shared.shape[2])
        grad[:first] = shared.flatten(0, 1)
        grad[:first, queries:] += key.unflatten(0, (groups, -1))[:, :, :prefix].sum(1).flatten(0, 1)
        grad[first:, :queries] = query.flatten(0, 1).index_select(0, index.query_index)
        grad[first:, queries:] = key.flatten(0, 1).index_select(0, index.key_index)
        return grad, None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shared: Tensor, own: Tensor, index: PackedSequences) -> Tensor:
        ctx.index = index
        return torch.cat([shared.flatten(0, 1), own.flatten(0, 1).index_select(0, index.query_index)])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        index, (grad,) = ctx.index, grads
        (n, longest), first = index.token_mask.shape, index.groups * index.prefix
        own = grad.new_zeros(n * longest, grad.shape[1]).index_copy_(0, index.query_index, grad[first:])
        return grad[:first].unflatten(0, (index.groups, -1)), own.unflatten(0, (n, -1)), None
