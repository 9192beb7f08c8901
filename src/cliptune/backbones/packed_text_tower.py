"""The causal text transformer on packed sequences: no token is computed twice, and no padding is computed at all.

Attention is causal and the feature is read at one position, usually end-of-text, so tokens after it do not matter.
Tokens that all texts share at the front (start-of-text, shared context, common words) have the same keys and values for
every class in every layer, deep prompts included. They pass the tower once; each class adds only its remaining tokens.
The last block is computed for the pooled token alone, and frozen tokens before the first block have no autograd graph.
Results equal those of the plain computation up to rounding. `padded_text_tower` serves towers that are not causal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from cliptune.backbones.blocks import FrozenBlock, FrozenProjection, at_layer
from cliptune.backbones.changed_block import changed_blocks
from cliptune.backbones.chunks import TOKENS_PER_CHUNK, activation_budget, run_chunks
from cliptune.backbones.frozen_norm import FrozenNorm
from cliptune.backbones.frozen_tensor import compute_dtype
from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.errors import UserError
from cliptune.types import Prompts


class PackedTextTower:
    """open_clip's causal text transformer on `TokenizedText` and `Prompts`.

    module: Has `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`. onednn:
    Input types whose linear layers use oneDNN. chunk: Packed tokens per chunk. budget: Bytes of activations that are
    kept (see `run_chunks`), by default `activation_budget`.
    """

    def __init__(
        self,
        module: Any,
        onednn: frozenset[torch.dtype] = frozenset(),
        chunk: int = TOKENS_PER_CHUNK,
        budget: int | None = None,
    ):
        self.module, self.chunk, self.budget = module, chunk, budget
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]
        self._ln_final, self._projection = FrozenNorm(module.ln_final), FrozenProjection(module.text_projection)

    def __call__(self, text: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` texts, before averaging over `text.per_class`."""
        return self._run(text, prompts, False)[0]

    def with_block_features(self, text: TokenizedText, prompts: Prompts) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Un-normalised features `(n, embed_dim)`, and the pooled tokens `(n, width)` after each block."""
        features, *pooled = self._run(text, prompts, True)
        return features, tuple(pooled)

    def per_context(self, text: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Un-normalised features `(b, n, embed_dim)` of all `n` texts with each context of `(b, n_ctx, width)`.

        As many contexts as fit into a chunk are computed together, each with its own prefix.
        """
        prefix = self._prefix(text, prompts, True)
        size = self.chunk // text.packed_tokens(prefix)
        if size == 0 or prompts.text_inserted:
            return torch.stack([self(text, replace(prompts, text=context)) for context in contexts])
        chunks = [(text, replace(prompts, text=part), prefix, False, len(part)) for part in contexts.split(size)]
        return self._run_chunks(chunks)[0].unflatten(0, (len(contexts), -1))

    def embed(
        self, text: TokenizedText, context: Tensor | None, packed: PackedSequences, context_of: Tensor | None = None
    ) -> Tensor:
        """Packed layer-0 tokens `(t, width)`; context vectors get positional embeddings too.

        context_of: `(t,)`, the index among contexts `(k, n_ctx, width)` for each token; by default its row.
        """
        row, position, table = packed.row, packed.position, text.embeddings
        tokens = self.module.token_embedding(text.ids[row, position]) if table is None else table[row, position]
        if context is not None:
            own = (row if context_of is None else context_of)[packed.learned]
            vectors = context[packed.slot] if context.ndim == 2 else context[own, packed.slot]
            tokens = tokens.index_copy(0, packed.learned, vectors.to(tokens.dtype))
        tokens = tokens + self.module.positional_embedding[position].to(tokens.dtype)
        return tokens.to(compute_dtype(tokens))

    def _run(self, text: TokenizedText, prompts: Prompts, record: bool) -> tuple[Tensor, ...]:
        """The features, followed by the pooled tokens after each block if `record`."""
        prompts = prompts_per_text(prompts, text)
        prefix = self._prefix(text, prompts, prompts.text is None or prompts.text.ndim == 2)
        pieces = text.pieces(self.chunk, prefix)
        chunks = [(part, prompts_of(prompts, rows), prefix, record) for rows, part in pieces]
        return self._run_chunks(chunks, random=not prompts.share_prefix)

    def _run_chunks(self, chunks: Sequence[tuple], random: bool = False) -> tuple[Tensor, ...]:
        """The results of `_features` for each of the chunks, its arguments."""
        sizes = [self.activation_bytes(text, prefix, *groups) for text, _, prefix, _, *groups in chunks]
        budget = activation_budget(chunks[0][0].ids.device) if self.budget is None else self.budget
        return run_chunks(self._features, chunks, sizes, budget, random=random)

    def activation_bytes(self, text: TokenizedText, prefix: int, groups: int = 0) -> int:
        """Bytes in float32 that the backward pass of `_features` needs, about."""
        packed = PackedSequences.pack(text, prefix, groups or 1)
        queries = sum(bucket.token_mask.numel() for bucket in packed.buckets)
        keys = queries + prefix * len(text) * (groups or 1)
        hidden, width = self.module.transformer.resblocks[0].mlp.c_fc.weight.shape
        # Inputs of both LayerNorms and of the activation; padded queries and outputs, keys and values.
        per_block = len(packed.row) * (2 * width + hidden) + 2 * (queries + keys) * width
        return 4 * len(self.blocks) * per_block

    def _prefix(self, text: TokenizedText, prompts: Prompts, shared_context: bool) -> int:
        """Number of tokens at the front that are computed once for all texts."""
        if not prompts.share_prefix:
            return 0
        prefix = text.shared_prefix(shared_context)
        per_class = any(own is not None and own.ndim == 3 for own in prompts.text_deep)
        return min(prefix, text.context_start) if per_class else prefix

    def _with_inserted(
        self, x: Tensor, packed: PackedSequences, at: int, layer: int, inserted: int, prompts: Prompts
    ) -> tuple[Tensor, PackedSequences, int]:
        """The packed tokens with those that this layer inserts at position `at`, their index, and how many there are.

        inserted: Their number before this layer.
        """
        own = prompts.text_inserted[layer] if layer < len(prompts.text_inserted) else None
        if own is None:
            return x, packed, inserted
        if packed.prefix < at:
            raise UserError("tokens are inserted into the prefix that all texts share, so share_prefix cannot be off")
        own = own.to(x.dtype)
        if not inserted:
            return torch.cat([x[:at], own, x[at:]]), packed.with_inserted(len(own), at), len(own)
        own = prompts.mix * own + (1 - prompts.mix) * x[at : at + inserted] if prompts.mix != 1 else own
        return torch.cat([x[:at], own, x[at + inserted :]]), packed, inserted

    def _features(
        self, text: TokenizedText, prompts: Prompts, prefix: int, record: bool, groups: int = 0
    ) -> tuple[Tensor, ...]:
        """All layers on packed tokens, which are padded for attention only.

        groups: Compute all texts with each of that many contexts `prompts.text`, context after context.
        Returns the features, followed by the pooled tokens after each block if `record`.
        """
        context, prefix_kv = prompts.text, prompts.text_kv
        pooled: list[Tensor] = []
        packed = PackedSequences.pack(text, prefix, groups or 1)
        x = self.embed(text, context, packed, packed.group if groups else packed.row)
        width, blocks, inserted = x.shape[-1], changed_blocks(self.blocks, prompts.text_change), 0
        for i, block in enumerate(blocks[:-1]):
            x, packed, inserted = self._with_inserted(x, packed, text.context_start, i, inserted, prompts)
            x = _with_deep_prompts(x, packed, text.context_start, i, prompts.text_deep)
            if i == 0 and context is not None and not inserted:
                qkv = self._first_qkv(text, packed, block, x)
            else:
                qkv = block.qkv(block.norm1(x))
            shared, padded = packed.pad(qkv, width)
            within, causal = packed.causal_masks()
            more = block.prefix(at_layer(prefix_kv, i), x)
            own = [block.attend(q, *kv.chunk(2, -1), mask, more) for (q, kv), mask in zip(padded, causal, strict=True)]
            q, k, v = shared.chunk(3, -1)
            x = block.after_attention(x, packed.unpad(block.attend(q, k, v, within, more), own))
            if record:
                pooled.append(x.index_select(0, packed.pool_index))
        block, i = blocks[-1], len(blocks) - 1
        x, packed, _ = self._with_inserted(x, packed, text.context_start, i, inserted, prompts)
        x = _with_deep_prompts(x, packed, text.context_start, i, prompts.text_deep)
        normed, more = block.norm1(x), block.prefix(at_layer(prefix_kv, len(self.blocks) - 1), x)
        asked, (_, padded) = block.q(normed.index_select(0, packed.last))[:, None], packed.pad(block.kv(normed), 0)
        attended = []
        for bucket, (_, kv), mask in zip(packed.buckets, padded, packed.pooled_masks(), strict=True):
            k, v = kv.chunk(2, -1)
            attended.append(block.attend(asked[bucket.texts], k, v, mask, more))
        end = block.after_attention(x.index_select(0, packed.last), torch.cat(attended)[:, 0])
        end = end.index_select(0, packed.place)
        features = self._projection(self._ln_final(end, final_norm(prompts)))
        return (features, *pooled, end) if record else (features,)

    def _first_qkv(self, text: TokenizedText, packed: PackedSequences, block: FrozenBlock, x: Tensor) -> Tensor:
        """Queries, keys and values of the first block from its input `x`, with a graph through `x` for context vectors
        only."""
        # Frozen tokens are the same in all groups, so they are computed for one.
        one = packed if packed.groups == 1 else PackedSequences.pack(text, packed.prefix, 1)
        frozen_qkv = block.qkv(block.norm1(self.embed(text, None, one)))
        learned_qkv = block.qkv(block.norm1(x.index_select(0, packed.learned)))
        return packed.repeat_groups(frozen_qkv).index_copy(0, packed.learned, learned_qkv)


def final_norm(prompts: Prompts) -> tuple[Tensor, Tensor] | None:
    """The learned weight and bias of the last LayerNorm, or None for its own."""
    return None if prompts.text_change is None else prompts.text_change.norm.get("ln_final")


def prompts_of(prompts: Prompts, rows: slice) -> Prompts:
    """The prompts for some of the texts: those of context and deep prompts per text, and the chunk's change."""
    change = prompts.text_change
    if change is not None and change.chunk is not None and rows.start:
        prompts = replace(prompts, text_change=change.chunk(rows.start))
    return _map_own(prompts, lambda own: own[rows])


def prompts_per_text(prompts: Prompts, text: TokenizedText) -> Prompts:
    """Context and deep prompts per class, repeated for each of the class's texts."""
    if text.one_per_class:
        return prompts
    return _map_own(prompts, lambda own: own if len(own) == len(text) else own[text.classes])


def _map_own(prompts: Prompts, change: Callable[[Tensor], Tensor]) -> Prompts:
    """The prompts with changed tensors of tokens that differ between classes, `(n, n_ctx, width)`."""

    def changed(own: Tensor | None) -> Tensor | None:
        return change(own) if own is not None and own.ndim == 3 else own

    return replace(prompts, text=changed(prompts.text), text_deep=tuple(changed(own) for own in prompts.text_deep))


def _with_deep_prompts(
    x: Tensor, packed: PackedSequences, start: int, layer: int, deep: Sequence[Tensor | None]
) -> Tensor:
    """`x` `(t, width)` with the positions from `start` on replaced by the deep prompts of this layer, if it has any."""
    own = deep[layer - 1] if 0 < layer <= len(deep) else None
    if own is None:
        return x
    here, row, place = packed.between(start, start + own.shape[-2])
    return x.index_copy(0, here, (own[place] if own.ndim == 2 else own[row, place]).to(x.dtype))
