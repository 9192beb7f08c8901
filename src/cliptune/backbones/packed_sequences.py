"""Packed sequences: the shared prefix once, then the remaining tokens of each text without padding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cliptune.backbones.cached_on_object import cached_on_object
from cliptune.backbones.length_buckets import length_buckets
from cliptune.backbones.tokenized_text import TokenizedText


@dataclass(frozen=True)
class Bucket:
    """Texts of similar length, which attention pads to the longest of them: `n` texts with `t` tokens.

    texts, tokens: Their places among all texts and among all tokens after the prefixes. query_index, key_index:
    `(t,)`, indices of the tokens among `n * longest` padded queries and `n * (prefix + longest)` padded keys.
    token_mask: `(n, longest)`, True for a token, False for padding.
    """

    texts: slice
    tokens: slice
    query_index: Tensor
    key_index: Tensor
    token_mask: Tensor

    def empty(self, like: Tensor, rows: int, columns: int) -> Tensor:
        """A tensor to write the tokens to: zero where there is padding, undefined where there is none."""
        padded = len(self.query_index) < self.token_mask.numel()
        return like.new_zeros(rows, columns) if padded else like.new_empty(rows, columns)


@dataclass(frozen=True)
class PackedSequences:
    """Index tensors that pack `n` texts into one sequence of `prefix + t` tokens, and pad them for attention.

    With `groups`, the texts are repeated once per group, and each group has its own prefix. Below, `n` and `t` count
    all groups, and `prefix` is the length of one prefix. First come all prefixes, then the other tokens of each bucket:
    group after group, and text after text.

    group, row, position: `(groups * prefix + t,)`, where each packed token is read from. learned, slot: Packed indices
    of the context vectors, and which vector is at each. last: `(n,)`, packed indices of the pooled tokens in the order
    of the buckets. place: `(n,)`, the place of each text in that order.
    """

    groups: int
    prefix: int
    group: Tensor
    row: Tensor
    position: Tensor
    learned: Tensor
    slot: Tensor
    last: Tensor
    place: Tensor
    buckets: tuple[Bucket, ...]

    @staticmethod
    @cached_on_object
    def pack(text: TokenizedText, prefix: int, groups: int) -> PackedSequences:
        """Pack the tokens from `prefix` to the pooled one of each text, for each group."""
        device, n = text.ids.device, len(text)
        lengths = text.pool_index - prefix + 1
        bounds = torch.tensor(length_buckets(lengths.tolist()), device=device)
        bucket_of = torch.bucketize(lengths, bounds)
        shared = torch.arange(prefix, device=device).repeat(groups)
        owner = torch.arange(groups, device=device).repeat_interleave(prefix)
        group, row, position = [owner], [torch.zeros_like(shared)], [shared]
        buckets, order, last, texts, tokens = [], [], [], 0, 0
        for i, longest in enumerate(bounds.tolist()):
            members = (bucket_of == i).nonzero()[:, 0]
            own = lengths[members].repeat(groups)
            token_mask = torch.arange(longest, device=device) < own[:, None]
            member, local = token_mask.nonzero(as_tuple=True)
            group.append(member // len(members))
            row.append(members[member % len(members)])
            position.append(prefix + local)
            order.append((members + n * torch.arange(groups, device=device)[:, None]).flatten())
            last.append(groups * prefix + tokens + own.cumsum(0) - 1)
            buckets.append(
                Bucket(
                    slice(texts, texts := texts + len(own)),
                    slice(tokens, tokens := tokens + len(member)),
                    member * longest + local,
                    member * (prefix + longest) + prefix + local,
                    token_mask,
                )
            )
        rows, positions = torch.cat(row), torch.cat(position)
        slots = text.slots[rows, positions]
        learned = (slots >= 0).nonzero()[:, 0]
        return PackedSequences(
            groups,
            prefix,
            torch.cat(group),
            rows,
            positions,
            learned,
            slots[learned],
            torch.cat(last),
            torch.cat(order).argsort(),
            tuple(buckets),
        )

    @cached_on_object
    def with_inserted(self, count: int, at: int) -> PackedSequences:
        """The index after `count` tokens that no text has are inserted at position `at` of the one prefix. Their
        `position` is -1, and those of other tokens stay."""
        own = self.row.new_zeros(count)
        group, row, position = (
            torch.cat([x[:at], own + fill, x[at:]]) for x, fill in ((self.group, 0), (self.row, 0), (self.position, -1))
        )
        return replace(
            self,
            prefix=self.prefix + count,
            group=group,
            row=row,
            position=position,
            learned=self.learned + count * (self.learned >= at),
            last=self.last + count,
            buckets=tuple(_with_keys_in_front(bucket, count) for bucket in self.buckets),
        )

    @cached_on_object
    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Packed indices, rows and positions minus `start` of the tokens at positions from `start` to `stop`."""
        here = ((self.position >= start) & (self.position < stop)).nonzero()[:, 0]
        return here, self.row[here], self.position[here] - start

    @property
    def pool_index(self) -> Tensor:
        """Packed index of the pooled token of each text, `(n,)`."""
        return self.last[self.place]

    @cached_on_object
    def causal_masks(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Causal masks, True for a visible key: `(prefix, prefix)`, and `(longest, prefix + longest)` per bucket."""
        shared = torch.ones(self.prefix, self.prefix, dtype=torch.bool, device=self.row.device).tril()
        own = (shared.new_ones((bucket.token_mask.shape[1],) * 2).tril() for bucket in self.buckets)
        return shared, tuple(torch.cat([x.new_ones(len(x), self.prefix), x], 1) for x in own)

    @cached_on_object
    def pooled_masks(self) -> tuple[Tensor, ...]:
        """Keys that the pooled tokens see, `(n, 1, 1, prefix + longest)` per bucket."""
        own = (bucket.token_mask for bucket in self.buckets)
        return tuple(torch.cat([x.new_ones(len(x), self.prefix), x], 1)[:, None, None] for x in own)

    def repeat_groups(self, one: Tensor) -> Tensor:
        """Repeat one group's packed values `(prefix + t / groups, c)` for all: `(groups * prefix + t, c)`."""
        if self.groups == 1:
            return one
        sizes = [self.prefix, *((b.tokens.stop - b.tokens.start) // self.groups for b in self.buckets)]
        return torch.cat([part.repeat(self.groups, 1) for part in one.split(sizes)])

    def pad(self, packed: Tensor, queries: int) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Split packed values `(groups * prefix + t, c)` for attention. The first `queries` columns are queries.

        Returns all columns of the prefixes `(groups, prefix, c)`, and per bucket queries `(n, longest, queries)` and
        the other columns `(n, prefix + longest, c - queries)` with those of the prefix repeated in front. Padding is
        zero and follows the pooled token, where no causal query looks.
        """
        shared, *own = _Pad.apply(packed, self, queries)
        return shared, list(zip(own[::2], own[1::2], strict=True))

    def unpad(self, shared: Tensor, own: list[Tensor]) -> Tensor:
        """Pack `(groups, prefix, c)` and padded `(n, longest, c)` per bucket into `(groups * prefix + t, c)`."""
        return _Unpad.apply(self, shared, *own)


def _with_keys_in_front(bucket: Bucket, count: int) -> Bucket:
    # Each text before a token, its own included, has the inserted keys in front.
    return replace(bucket, key_index=bucket.key_index + count * (bucket.query_index // bucket.token_mask.shape[1] + 1))


class _Pad(torch.autograd.Function):
    # The backward of indexing adds row by row, since rows might repeat. Only those of the prefix do, in a single sum.

    @staticmethod
    def forward(ctx, packed: Tensor, index: PackedSequences, queries: int) -> tuple[Tensor, ...]:
        ctx.index, ctx.queries = index, queries
        prefix, groups, columns = index.prefix, index.groups, packed.shape[1]
        shared, own = packed[: groups * prefix].unflatten(0, (groups, prefix)), packed[groups * prefix :]
        padded = [shared.clone()]
        for bucket in index.buckets:
            (n, longest), here = bucket.token_mask.shape, own[bucket.tokens]
            query = bucket.empty(packed, n * longest, queries)
            key = bucket.empty(packed, n * (prefix + longest), columns - queries)
            query.index_copy_(0, bucket.query_index, here[:, :queries])
            key.index_copy_(0, bucket.key_index, here[:, queries:])
            key = key.unflatten(0, (n, -1))
            key.unflatten(0, (groups, -1))[:, :, :prefix] = shared[:, None, :, queries:]
            padded += [query.unflatten(0, (n, -1)), key]
        return tuple(padded)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        shared, index, queries = grads[0], ctx.index, ctx.queries
        groups, prefix = index.groups, index.prefix
        first = groups * prefix
        grad = shared.new_empty(len(index.row), shared.shape[2])
        grad[:first] = shared.flatten(0, 1)
        own = grad[first:]
        for bucket, query, key in zip(index.buckets, grads[1::2], grads[2::2], strict=True):
            grad[:first, queries:] += key.unflatten(0, (groups, -1))[:, :, :prefix].sum(1).flatten(0, 1)
            own[bucket.tokens, :queries] = query.flatten(0, 1).index_select(0, bucket.query_index)
            own[bucket.tokens, queries:] = key.flatten(0, 1).index_select(0, bucket.key_index)
        return grad, None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, index: PackedSequences, shared: Tensor, *own: Tensor) -> Tensor:
        ctx.index = index
        pairs = zip(index.buckets, own, strict=True)
        return torch.cat([shared.flatten(0, 1), *(x.flatten(0, 1).index_select(0, b.query_index) for b, x in pairs)])

    @staticmethod
    def backward(ctx, *grads: Tensor):
        index, (grad,) = ctx.index, grads
        first = index.groups * index.prefix
        padded = []
        for bucket in index.buckets:
            n, longest = bucket.token_mask.shape
            own = bucket.empty(grad, n * longest, grad.shape[1])
            own.index_copy_(0, bucket.query_index, grad[first:][bucket.tokens])
            padded.append(own.unflatten(0, (n, -1)))
        return None, grad[:first].unflatten(0, (index.groups, -1)), *padded
