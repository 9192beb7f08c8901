"""Text towers on padded rows: towers without a causal mask, with a class token at the end, or of another library.

If tokens see later ones, padding included, nothing may be cut off, shared or packed. Rows have the length to which the
tokenizer pads, and mask, pooled position and projection are the tower's own. Context vectors take the same positions as
in a causal tower. Only the pooled token passes the last block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones import introspection
from cliptune.backbones.blocks import FrozenBlock, FrozenProjection, at_layer
from cliptune.backbones.changed_block import changed_blocks
from cliptune.backbones.chunks import TOKENS_PER_CHUNK, activation_budget, run_chunks
from cliptune.backbones.frozen_norm import FrozenNorm
from cliptune.backbones.frozen_tensor import compute_dtype
from cliptune.backbones.packed_text_tower import PackedTextTower, final_norm, prompts_of, prompts_per_text
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import Prompts


class PaddedTextTower:
    """open_clip's text transformer with any mask and pooling, on `TokenizedText` and `Prompts`.

    module: Has `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`. onednn:
    Input types whose linear layers use oneDNN. chunk: Tokens per chunk. budget: Bytes of activations that are kept (see
    `run_chunks`), by default `activation_budget`.
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
        #: A class token after the padding, which is then the pooled token (CoCa).
        self.class_token: Tensor | None = getattr(module, "cls_emb", None)

    def __call__(self, text: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` texts, before averaging over `text.per_class`."""
        return self._run(self._chunks(text, prompts, False), prompts)[0]

    def with_block_features(self, text: TokenizedText, prompts: Prompts) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Un-normalised features `(n, embed_dim)`, and the pooled tokens `(n, width)` after each block."""
        features, *pooled = self._run(self._chunks(text, prompts, True), prompts)
        return features, tuple(pooled)

    def per_context(self, text: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Un-normalised features `(b, n, embed_dim)` of all `n` texts with each context of `(b, n_ctx, width)`."""
        every = [replace(prompts, text=context) for context in contexts]
        chunks = [chunk for own in every for chunk in self._chunks(text, own, False)]
        return self._run(chunks, prompts)[0].unflatten(0, (len(contexts), -1))

    def _run(self, chunks: list[tuple], prompts: Prompts) -> tuple[Tensor, ...]:
        sizes = [self.activation_bytes(text) for text, *_ in chunks]
        budget = activation_budget(chunks[0][0].ids.device) if self.budget is None else self.budget
        return run_chunks(self._features, chunks, sizes, budget, random=not prompts.share_prefix)

    def activation_bytes(self, text: TokenizedText) -> int:
        """Bytes in float32 that the backward pass of `_features` needs, about."""
        hidden, width = self.module.transformer.resblocks[0].mlp.c_fc.weight.shape
        # Inputs of both LayerNorms and of the activation; queries, keys, values and outputs of attention.
        return 4 * len(self.blocks) * text.ids.numel() * (6 * width + hidden)

    def _chunks(self, text: TokenizedText, prompts: Prompts, record: bool) -> list[tuple]:
        prompts = prompts_per_text(prompts, text)
        return [(part, prompts_of(prompts, rows), record) for rows, part in text.pieces(self.chunk)]

    def embed(self, text: TokenizedText, context: Tensor | None) -> Tensor:
        """Layer-0 tokens `(n, length, width)`; context vectors get positional embeddings too."""
        x = self.module.token_embedding(text.ids) if text.embeddings is None else text.embeddings
        if context is not None:
            row, position, slot = text.learned()
            own = context[slot] if context.ndim == 2 else context[row, slot]
            x = x.index_put((row, position), own.to(x.dtype))
        if self.class_token is not None:
            x = torch.cat([x, self.class_token.to(x.dtype).expand(len(x), 1, -1)], 1)
        x = x + self.module.positional_embedding[: x.shape[1]].to(x.dtype)
        return x.to(compute_dtype(x))

    def mask(self, ids: Tensor, at: int = 0, inserted: int = 0) -> Tensor | None:
        """Attention mask `(n or 1, 1, length or 1, length)`, True for a visible key; None if all tokens see all.

        at, inserted: Position and number of tokens that were inserted into the texts.
        """
        length = ids.shape[1] + inserted + (self.class_token is not None)
        visible = None
        if self.module.attn_mask is not None:
            visible = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()[None, None]
        if self.class_token is None and not getattr(self.module, "use_pad_mask", False):
            return visible
        present = ids != self.module.pad_id
        present = torch.cat([present[:, :at], present.new_ones(len(ids), inserted), present[:, at:]], 1)
        if self.class_token is not None:
            # Unless `correct_cls_mask`, open_clip pads the mask in front, and weights were trained that way.
            present = F.pad(present, (0, 1) if self.module.correct_cls_mask else (1, 0), value=True)
        return present[:, None, None] if visible is None else visible & present[:, None, None]

    def _features(self, text: TokenizedText, prompts: Prompts, record: bool) -> tuple[Tensor, ...]:
        """The features, followed by the pooled tokens after each block if `record`."""
        x, mask, inserted = self.embed(text, prompts.text), self.mask(text.ids), 0
        row = torch.arange(len(x), device=x.device)
        end = text.pool_index if self.class_token is None else torch.full_like(text.pool_index, x.shape[1] - 1)
        pooled: list[Tensor] = []
        blocks = changed_blocks(self.blocks, prompts.text_change)
        for i, block in enumerate(blocks):
            before = x.shape[1]
            x = self._with_tokens(x, text.context_start, i, inserted, prompts)
            if x.shape[1] > before:
                inserted = x.shape[1] - before
                mask, end = self.mask(text.ids, text.context_start, inserted), end + inserted
            normed, prefix = block.norm1(x), block.prefix(at_layer(prompts.text_kv, i), x)
            if i < len(blocks) - 1:
                q, k, v = block.qkv(normed).chunk(3, -1)
                x = block.after_attention(x, block.attend(q, k, v, mask, prefix))
                pooled.append(x[row, end])
                continue
            k, v = block.kv(normed).chunk(2, -1)
            visible = None if mask is None else mask.expand(len(x), 1, x.shape[1], -1)[row, :, end][:, :, None]
            attended = block.attend(block.q(normed[row, end])[:, None], k, v, visible, prefix)
            pooled.append(block.after_attention(x[row, end], attended[:, 0]))
        features = self._projection(self._ln_final(pooled[-1], final_norm(prompts)))
        return (features, *pooled) if record else (features,)

    def _with_tokens(self, x: Tensor, start: int, layer: int, inserted: int, prompts: Prompts) -> Tensor:
        """`x` `(n, length, width)` with the inserted tokens and the deep prompts of this layer, if it has any.

        inserted: Number of tokens inserted before.
        """
        own = prompts.text_inserted[layer] if layer < len(prompts.text_inserted) else None
        if own is not None:
            own = own.to(x.dtype).expand(len(x), -1, -1)
            if inserted and prompts.mix != 1:
                own = prompts.mix * own + (1 - prompts.mix) * x[:, start : start + inserted]
            x = torch.cat([x[:, :start], own, x[:, start + inserted :]], 1)
            inserted = own.shape[1]
        deep = prompts.text_deep[layer - 1] if 0 < layer <= len(prompts.text_deep) else None
        if deep is not None:
            first = start + inserted
            own = deep.to(x.dtype).expand(len(x), -1, -1)
            x = torch.cat([x[:, :first], own, x[:, first + own.shape[1] :]], 1)
        return x


def make_text_tower(
    name: str, model: Any, onednn: frozenset[torch.dtype]
) -> PackedTextTower | PaddedTextTower | FrozenTextTower:
    """The text tower of an open_clip model, one that accepts learned tokens if possible. name: Name of the backbone in
    messages."""
    text = introspection.text_module(model)
    if not introspection.accepts_text_prompts(text):
        features = getattr(model, "text", model.encode_text)
        return FrozenTextTower(partial(introspection.pooled_features, name, "text", features))
    return (PackedTextTower if introspection.is_causal(text) else PaddedTextTower)(text, onednn)


class FrozenTextTower:
    """A text tower that accepts no learned tokens, computed as open_clip does.

    features: Maps padded ids `(n, context_length)` to features `(n, embed_dim)`.
    """

    def __init__(self, features: Callable[[Tensor], Tensor], chunk: int = TOKENS_PER_CHUNK):
        self.features, self.chunk = features, chunk

    @torch.no_grad()
    def __call__(self, text: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` fixed texts."""
        prompts, size = prompts_per_text(prompts, text), max(1, self.chunk // text.ids.shape[1])
        return torch.cat([self.features(ids) for ids in text.ids.split(size)])
