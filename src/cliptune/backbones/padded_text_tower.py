"""Text towers that take whole sentences: no causal mask, a class token at the end, or a model of another library.

Where tokens see what stands behind them, padding included, nothing may be cut off, shared or packed. Rows have the
length that the tokenizer pads to, and the mask, the pooled position and the projection are the tower's own. Learned
tokens take the same places as in a causal tower; only the pooled token passes the last block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.blocks import FrozenBlock, layer_norm
from cliptune.backbones.packed_text_tower import at_layer, project, run_chunks
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import KeyValues, Prompts

#: Tokens that pass a tower at a time.
TOKENS_PER_CHUNK = 4096


class PaddedTextTower:
    """open_clip's text transformer with any mask and pooling, taking `Sentences` and `Prompts`.

    module: whatever carries `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`.
    chunk: tokens in one piece; more are cut and, where a gradient flows, recomputed in the backward pass.
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset(), chunk: int = TOKENS_PER_CHUNK):
        self.module, self.chunk = module, chunk
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]
        #: A class token after the padding, which is then the pooled one (CoCa).
        self.class_token: Tensor | None = getattr(module, "cls_emb", None)

    def __call__(self, sentences: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` sentences, not yet pooled over `per_class`.

        Where the prompts bring a trail, the pooled tokens after each block are left in it.
        """
        features, *pooled = run_chunks(self._features, self._pieces(sentences, prompts.text, prompts))
        if prompts.trail is not None:
            prompts.trail.text += pooled
        return features

    def each(self, sentences: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Un-normalised features `(b, n, embed_dim)` of all `n` sentences with each context of `(b, n_ctx, width)`."""
        pieces = [piece for context in contexts for piece in self._pieces(sentences, context, prompts)]
        return run_chunks(self._features, pieces)[0].unflatten(0, (len(contexts), -1))

    def _pieces(self, sentences: TokenizedText, text: Tensor | None, prompts: Prompts) -> list[tuple]:
        size = max(1, self.chunk // sentences.ids.shape[1])
        chosen = [slice(start, start + size) for start in range(0, len(sentences), size)]
        own = text is not None and text.ndim == 3  # a context for each sentence
        more = prompts.text_deep, prompts.text_kv, prompts.trail is not None
        return [(sentences.rows(rows), text[rows] if own and text is not None else text, *more) for rows in chosen]

    def embed(self, sentences: TokenizedText, text: Tensor | None) -> Tensor:
        """Layer-0 tokens `(n, length, width)`; learned vectors get positional embeddings too."""
        given = sentences.embeddings
        x = self.module.token_embedding(sentences.ids) if given is None else given
        if text is not None:
            row, position = learned = (sentences.slots >= 0).nonzero(as_tuple=True)
            slot = sentences.slots[row, position]
            x = x.index_put(learned, (text[slot] if text.ndim == 2 else text[row, slot]).to(x.dtype))
        if self.class_token is not None:
            x = torch.cat([x, self.class_token.to(x.dtype).expand(len(x), 1, -1)], 1)
        return x + self.module.positional_embedding[: x.shape[1]].to(x.dtype)

    def mask(self, ids: Tensor) -> Tensor | None:
        """`(n or 1, 1, length, length)`, True where a key may be seen; None where all see all."""
        causal, length = self.module.attn_mask, ids.shape[1] + (self.class_token is not None)
        seen = None if causal is None else (causal[:length, :length] == 0)[None, None]
        if self.class_token is None and not getattr(self.module, "use_pad_mask", False):
            return seen
        there = ids != self.module.pad_id
        if self.class_token is not None:
            # open_clip puts the class token's place in front unless `correct_cls_mask`, and so were weights trained.
            there = F.pad(there, (0, 1) if self.module.correct_cls_mask else (1, 0), value=True)
        return there[:, None, None] if seen is None else seen & there[:, None, None]

    def _features(
        self,
        sentences: TokenizedText,
        text: Tensor | None,
        deep: Sequence[Tensor],
        lent: Sequence[KeyValues | None],
        every: bool,
    ) -> tuple[Tensor, ...]:
        """The features, followed by the pooled tokens after each block if `every`."""
        x, mask = self.embed(sentences, text), self.mask(sentences.ids)
        row = torch.arange(len(x), device=x.device)
        end = sentences.end if self.class_token is None else torch.full_like(sentences.end, x.shape[1] - 1)
        pooled: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            if 0 < i <= len(deep):
                own, lead = deep[i - 1].to(x.dtype), sentences.lead
                x = torch.cat([x[:, :lead], own.expand(len(x), -1, -1), x[:, lead + len(own) :]], 1)
            normed, more = block.normed(x), block.lent(at_layer(lent, i), x)
            if i < len(self.blocks) - 1:
                q, k, v = block.qkv(normed).chunk(3, -1)
                x = block.finish(x, block.attend(q, k, v, mask, more))
                pooled.append(x[row, end])
                continue
            k, v = block.kv(normed).chunk(2, -1)
            seen = None if mask is None else mask.expand(len(x), 1, x.shape[1], -1)[row, :, end][:, :, None]
            attended = block.attend(block.q(normed[row, end])[:, None], k, v, seen, more)
            pooled.append(block.finish(x[row, end], attended[:, 0]))
        features = project(layer_norm(pooled[-1], self.module.ln_final), self.module.text_projection)
        return (features, *pooled) if every else (features,)


class FrozenTextTower:
    """A text tower in which no learned token has a place, computed as open_clip does.

    features: padded ids `(n, context_length)` -> features `(n, embed_dim)`.
    """

    def __init__(self, features: Callable[[Tensor], Tensor], chunk: int = TOKENS_PER_CHUNK):
        self.features, self.chunk = features, chunk

    @torch.no_grad()
    def __call__(self, sentences: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` fixed sentences."""
        size = max(1, self.chunk // sentences.ids.shape[1])
        return torch.cat([self.features(ids) for ids in sentences.ids.split(size)])
