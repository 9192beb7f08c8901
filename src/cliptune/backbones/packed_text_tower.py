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
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from cliptune.backbones.blocks import FrozenBlock, at_layer, layer_norm, project
from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import KeyValues, Prompts

#: Tokens that pass a text tower at once.
TOKENS_PER_CHUNK = 4096


def run_chunks(features: Callable[..., tuple[Tensor, ...]], chunks: Sequence[tuple]) -> tuple[Tensor, ...]:
    """Concatenated results of `features` on each chunk of arguments. With gradients and several chunks, each chunk is
    recomputed in the backward pass, so that the activations of one at a time are in memory."""
    if len(chunks) == 1 or not torch.is_grad_enabled():
        parts = [features(*chunk) for chunk in chunks]
    else:
        recomputed = partial(checkpoint, features, use_reentrant=False, preserve_rng_state=False)
        parts = [recomputed(*chunk) for chunk in chunks]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


class PackedTextTower:
    """open_clip's causal text transformer on `TokenizedText` and `Prompts`.

    module: Has `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`. onednn:
    Input types whose linear layers use oneDNN. chunk: Packed tokens per chunk (see `run_chunks`).
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset(), chunk: int = TOKENS_PER_CHUNK):
        self.module, self.chunk = module, chunk
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]

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
        deep, prefix_kv, prefix = prompts.text_deep, prompts.text_kv, text.shared_prefix(True)
        size = self.chunk // (len(text) * int((text.pool_index - prefix + 1).max()))
        if size == 0:
            return torch.stack([self(text, replace(prompts, text=context)) for context in contexts])
        chunks = [(text, part, deep, prefix_kv, prefix, False, len(part)) for part in contexts.split(size)]
        return run_chunks(self._features, chunks)[0].unflatten(0, (len(contexts), -1))

    def embed(
        self,
        text: TokenizedText,
        context: Tensor | None,
        row: Tensor,
        position: Tensor,
        context_of: Tensor | None = None,
    ) -> Tensor:
        """Layer-0 tokens `(t, width)` at these rows and positions; context vectors get positional embeddings too.

        context_of: `(t,)`, the index among contexts `(k, n_ctx, width)` for each token; by default its row.
        """
        table = text.embeddings
        tokens = self.module.token_embedding(text.ids[row, position]) if table is None else table[row, position]
        if context is not None:
            slots = text.slots[row, position]
            learned = (slots >= 0).nonzero()[:, 0]
            own = (row if context_of is None else context_of)[learned]
            vectors = context[slots[learned]] if context.ndim == 2 else context[own, slots[learned]]
            tokens = tokens.index_copy(0, learned, vectors.to(tokens.dtype))
        return tokens + self.module.positional_embedding[position].to(tokens.dtype)

    def _run(self, text: TokenizedText, prompts: Prompts, record: bool) -> tuple[Tensor, ...]:
        """The features, followed by the pooled tokens after each block if `record`."""
        context = prompts.text
        per_text = context if context is not None and context.ndim == 3 else None
        prefix = text.shared_prefix(per_text is None)
        size = max(1, self.chunk // int((text.pool_index - prefix + 1).max()))
        chunks = []
        for start in range(0, len(text), size):
            rows = slice(start, start + size)
            own = context if per_text is None else per_text[rows]
            chunks.append((text.rows(rows), own, prompts.text_deep, prompts.text_kv, prefix, record))
        return run_chunks(self._features, chunks)

    def _features(
        self,
        text: TokenizedText,
        context: Tensor | None,
        deep: Sequence[Tensor],
        prefix_kv: Sequence[KeyValues | None],
        prefix: int,
        record: bool,
        groups: int = 0,
    ) -> tuple[Tensor, ...]:
        """All layers on packed tokens, which are padded for attention only.

        groups: Compute all texts with each of that many contexts `context`, context after context.
        Returns the features, followed by the pooled tokens after each block if `record`.
        """
        pooled: list[Tensor] = []
        packed = PackedSequences.pack(text, prefix, groups or 1)
        row, position, last = packed.row, packed.position, packed.pool_index
        within, causal = packed.causal_masks()
        x = self.embed(text, context, row, position, packed.group if groups else row)
        width = x.shape[-1]
        for i, block in enumerate(self.blocks[:-1]):
            x = _with_deep_prompts(x, position - text.context_start, i, deep)
            if i == 0 and context is not None:
                qkv = self._first_qkv(text, packed, x)
            else:
                qkv = block.qkv(block.norm1(x))
            shared, q, kv = packed.pad(qkv, width)
            k, v = kv.chunk(2, -1)
            more = block.prefix(at_layer(prefix_kv, i), x)
            own = block.attend(q, k, v, causal, more)
            q, k, v = shared.chunk(3, -1)
            x = block.after_attention(x, packed.unpad(block.attend(q, k, v, within, more), own))
            if record:
                pooled.append(x.index_select(0, last))
        block = self.blocks[-1]
        x = _with_deep_prompts(x, position - text.context_start, len(self.blocks) - 1, deep)
        normed = block.norm1(x)
        k, v = packed.pad(block.kv(normed), 0)[2].chunk(2, -1)
        visible = torch.cat([packed.token_mask.new_ones(len(last), prefix), packed.token_mask], 1)
        more = block.prefix(at_layer(prefix_kv, len(self.blocks) - 1), x)
        attended = block.attend(block.q(normed.index_select(0, last))[:, None], k, v, visible[:, None, None], more)
        end = block.after_attention(x.index_select(0, last), attended[:, 0])
        features = project(layer_norm(end, self.module.ln_final), self.module.text_projection)
        return (features, *pooled, end) if record else (features,)

    def _first_qkv(self, text: TokenizedText, packed: PackedSequences, x: Tensor) -> Tensor:
        """Queries, keys and values of the first block from its input `x`, with a graph for context vectors only."""
        block = self.blocks[0]
        learned = (text.slots[packed.row, packed.position] >= 0).nonzero()[:, 0]
        # Frozen tokens are the same in all groups, so they are computed for one.
        group = packed if packed.groups == 1 else PackedSequences.pack(text, packed.prefix)
        frozen_qkv = block.qkv(block.norm1(self.embed(text, None, group.row, group.position)))
        learned_qkv = block.qkv(block.norm1(x.index_select(0, learned)))
        return packed.repeat_groups(frozen_qkv).index_copy(0, learned, learned_qkv)


def _with_deep_prompts(x: Tensor, position: Tensor, layer: int, deep: Sequence[Tensor]) -> Tensor:
    """`x` `(t, width)` with positions 0..n_ctx-1 replaced by the deep prompts of this layer, if it has any."""
    if not 0 < layer <= len(deep):
        return x
    own = deep[layer - 1].to(x.dtype)
    here = ((position >= 0) & (position < len(own))).nonzero()[:, 0]
    return x.index_copy(0, here, own[position[here]])
