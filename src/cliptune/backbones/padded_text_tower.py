"""Text towers on padded rows: towers without a causal mask, with a class token at the end, or of another library.

If tokens see later ones, padding included, nothing may be cut off, shared or packed. Rows have the length to which the
tokenizer pads, and mask, pooled position and projection are the tower's own. Context vectors take the same positions as
in a causal tower. Only the pooled token passes the last block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones import introspection
from cliptune.backbones.blocks import FrozenBlock, at_layer, layer_norm, project
from cliptune.backbones.packed_text_tower import TOKENS_PER_CHUNK, PackedTextTower, run_chunks
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import KeyValues, Prompts


class PaddedTextTower:
    """open_clip's text transformer with any mask and pooling, on `TokenizedText` and `Prompts`.

    module: Has `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`. onednn:
    Input types whose linear layers use oneDNN. chunk: Tokens per chunk (see `run_chunks`).
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset(), chunk: int = TOKENS_PER_CHUNK):
        self.module, self.chunk = module, chunk
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]
        #: A class token after the padding, which is then the pooled token (CoCa).
        self.class_token: Tensor | None = getattr(module, "cls_emb", None)

    def __call__(self, text: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` texts, before averaging over `text.per_class`."""
        return run_chunks(self._features, self._chunks(text, prompts.text, prompts, False))[0]

    def with_block_features(self, text: TokenizedText, prompts: Prompts) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Un-normalised features `(n, embed_dim)`, and the pooled tokens `(n, width)` after each block."""
        features, *pooled = run_chunks(self._features, self._chunks(text, prompts.text, prompts, True))
        return features, tuple(pooled)

    def per_context(self, text: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Un-normalised features `(b, n, embed_dim)` of all `n` texts with each context of `(b, n_ctx, width)`."""
        chunks = [chunk for context in contexts for chunk in self._chunks(text, context, prompts, False)]
        return run_chunks(self._features, chunks)[0].unflatten(0, (len(contexts), -1))

    def _chunks(self, text: TokenizedText, context: Tensor | None, prompts: Prompts, record: bool) -> list[tuple]:
        size = max(1, self.chunk // text.ids.shape[1])
        slices = [slice(start, start + size) for start in range(0, len(text), size)]
        per_text = context if context is not None and context.ndim == 3 else None
        more = prompts.text_deep, prompts.text_kv, record
        return [(text.rows(rows), context if per_text is None else per_text[rows], *more) for rows in slices]

    def embed(self, text: TokenizedText, context: Tensor | None) -> Tensor:
        """Layer-0 tokens `(n, length, width)`; context vectors get positional embeddings too."""
        x = self.module.token_embedding(text.ids) if text.embeddings is None else text.embeddings
        if context is not None:
            row, position = learned = (text.slots >= 0).nonzero(as_tuple=True)
            slot = text.slots[row, position]
            x = x.index_put(learned, (context[slot] if context.ndim == 2 else context[row, slot]).to(x.dtype))
        if self.class_token is not None:
            x = torch.cat([x, self.class_token.to(x.dtype).expand(len(x), 1, -1)], 1)
        return x + self.module.positional_embedding[: x.shape[1]].to(x.dtype)

    def mask(self, ids: Tensor) -> Tensor | None:
        """Attention mask `(n or 1, 1, length, length)`, True for a visible key; None if all tokens see all."""
        causal, length = self.module.attn_mask, ids.shape[1] + (self.class_token is not None)
        visible = None if causal is None else (causal[:length, :length] == 0)[None, None]
        if self.class_token is None and not getattr(self.module, "use_pad_mask", False):
            return visible
        present = ids != self.module.pad_id
        if self.class_token is not None:
            # Unless `correct_cls_mask`, open_clip pads the mask in front, and weights were trained that way.
            present = F.pad(present, (0, 1) if self.module.correct_cls_mask else (1, 0), value=True)
        return present[:, None, None] if visible is None else visible & present[:, None, None]

    def _features(
        self,
        text: TokenizedText,
        context: Tensor | None,
        deep: Sequence[Tensor],
        prefix_kv: Sequence[KeyValues | None],
        record: bool,
    ) -> tuple[Tensor, ...]:
        """The features, followed by the pooled tokens after each block if `record`."""
        x, mask = self.embed(text, context), self.mask(text.ids)
        row = torch.arange(len(x), device=x.device)
        last = torch.full_like(text.pool_index, x.shape[1] - 1)
        end = text.pool_index if self.class_token is None else last
        pooled: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            if 0 < i <= len(deep):
                own, start = deep[i - 1].to(x.dtype), text.context_start
                x = torch.cat([x[:, :start], own.expand(len(x), -1, -1), x[:, start + len(own) :]], 1)
            normed, prefix = block.norm1(x), block.prefix(at_layer(prefix_kv, i), x)
            if i < len(self.blocks) - 1:
                q, k, v = block.qkv(normed).chunk(3, -1)
                x = block.after_attention(x, block.attend(q, k, v, mask, prefix))
                pooled.append(x[row, end])
                continue
            k, v = block.kv(normed).chunk(2, -1)
            visible = None if mask is None else mask.expand(len(x), 1, x.shape[1], -1)[row, :, end][:, :, None]
            attended = block.attend(block.q(normed[row, end])[:, None], k, v, visible, prefix)
            pooled.append(block.after_attention(x[row, end], attended[:, 0]))
        features = project(layer_norm(pooled[-1], self.module.ln_final), self.module.text_projection)
        return (features, *pooled) if record else (features,)


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
        size = max(1, self.chunk // text.ids.shape[1])
        return torch.cat([self.features(ids) for ids in text.ids.split(size)])
