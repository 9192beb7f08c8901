"""Where learned tokens enter the transformers: exact towers that do no work twice.

Text. Attention is causal and the feature is read at end-of-text, so nothing after the longest end matters, and the
tokens that all sentences share at the front (start-of-text, shared context, common words) have class-independent keys
and values in every layer, deep prompts included. They pass the tower once; each class adds only its own remaining
tokens, packed without padding.

Images. Prompts are the same for all images of a batch, and those that the next layer replaces are only seen, never
carried on.

The last block is computed for the pooled token alone, and what is frozen before the first block has no autograd graph.
All of it gives the same numbers as the textbook computation to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cliptune.backbones.blocks import Block, layer_norm
from cliptune.backbones.packing import Packing
from cliptune.backbones.sentences import Sentences
from cliptune.types import Prompts


class TextTower:
    """open_clip's causal text transformer, taking `Sentences` and `Prompts`.

    module: whatever carries `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`.
    chunk: packed tokens in one piece; more are cut and, where a gradient flows, recomputed in the backward pass.
    """

    def __init__(self, module: Any, fast: bool, chunk: int = 4096):
        self.module, self.chunk = module, chunk
        self.blocks = [Block(block, fast) for block in module.transformer.resblocks]

    def __call__(self, sentences: Sentences, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` sentences, not yet pooled over `per_class`."""
        text, deep = prompts.text, prompts.text_deep
        own = text if text is not None and text.ndim == 3 else None  # a context for each sentence
        prefix = sentences.shared_prefix(own is None)
        size = max(1, self.chunk // int((sentences.end - prefix + 1).max()))
        if len(sentences) <= size:
            return self._features(sentences, text, deep, prefix)
        pieces = []
        for start in range(0, len(sentences), size):
            rows = slice(start, start + size)
            arguments = (sentences.rows(rows), text if own is None else own[rows], deep, prefix)
            if torch.is_grad_enabled():
                pieces.append(checkpoint(self._features, *arguments, use_reentrant=False, preserve_rng_state=False))
            else:
                pieces.append(self._features(*arguments))
        return torch.cat(pieces)

    def embed(self, sentences: Sentences, text: Tensor | None, row: Tensor, position: Tensor) -> Tensor:
        """Layer-0 tokens `(t, width)` at these rows and positions; learned vectors get positional embeddings too."""
        tokens = self.module.token_embedding(sentences.ids[row, position])
        if text is not None:
            slots = sentences.slots[row, position]
            learned = (slots >= 0).nonzero()[:, 0]
            vectors = text[slots[learned]] if text.ndim == 2 else text[row[learned], slots[learned]]
            tokens = tokens.index_copy(0, learned, vectors.to(tokens.dtype))
        return tokens + self.module.positional_embedding[position].to(tokens.dtype)

    def _features(self, sentences: Sentences, text: Tensor | None, deep: Sequence[Tensor], prefix: int) -> Tensor:
        """All layers for the packed tokens; attention alone sees them padded."""
        packing = Packing.of(sentences, prefix)
        row, position, last = packing.row, packing.position, packing.last
        within, causal = packing.causal()
        x = self.embed(sentences, text, row, position)
        width = x.shape[-1]
        for i, block in enumerate(self.blocks[:-1]):
            x = _replaced(x, position, i, deep)
            if i == 0 and text is not None:  # only learned vectors need a graph through the first projection
                learned = (sentences.slots[row, position] >= 0).nonzero()[:, 0]
                frozen = block.qkv(block.normed(self.embed(sentences, None, row, position)))
                qkv = frozen.index_copy(0, learned, block.qkv(block.normed(x.index_select(0, learned))))
            else:
                qkv = block.qkv(block.normed(x))
            shared, q, kv = packing.spread(qkv, width)
            k, v = kv.chunk(2, -1)
            own = block.attend(q, k, v, causal)
            q, k, v = shared.chunk(3, -1)
            x = block.finish(x, packing.gather(block.attend(q, k, v, within), own))
        block = self.blocks[-1]
        x = _replaced(x, position, len(self.blocks) - 1, deep)
        normed = block.normed(x)
        k, v = packing.spread(block.kv(normed), 0)[2].chunk(2, -1)
        seen = torch.cat([packing.inside.new_ones(len(last), prefix), packing.inside], 1)
        attended = block.attend(block.q(normed.index_select(0, last))[:, None], k, v, seen[:, None, None])
        x = layer_norm(block.finish(x.index_select(0, last), attended[:, 0]), self.module.ln_final)
        projection = self.module.text_projection
        return projection(x) if isinstance(projection, nn.Module) else x @ projection


class ImageTower:
    """open_clip's vision transformer, taking normalised images and per-layer tokens."""

    def __init__(self, module: Any, fast: bool):
        self.module = module
        self.blocks = [Block(block, fast) for block in module.transformer.resblocks]

    def __call__(self, images: Tensor, prompts: Sequence[Tensor] = ()) -> Tensor:
        """Un-normalised features `(b, embed_dim)` of `images` `(b, 3, H, W)`; `prompts` one `(n, width)` a layer."""
        x = self.before_last(images, prompts)
        return self.from_last(x, self.blocks[-1].normed(x))

    def before_last(self, images: Tensor, prompts: Sequence[Tensor] = ()) -> Tensor:
        """Tokens `(b, 1 + patches + n, width)` entering the last block: class token, patches, the last prompts."""
        with torch.no_grad():  # nothing before the prompts trains
            x = self.module.conv1(images).flatten(2).transpose(1, 2)
            first = self.module.class_embedding.to(x.dtype).expand(len(x), 1, -1)
            x = torch.cat([first, x], 1) + self.module.positional_embedding.to(x.dtype)
            x = layer_norm(x, self.module.ln_pre)
        for i, block in enumerate(self.blocks):
            extra = None
            if i < len(prompts):
                extra = prompts[i].to(x.dtype)
                if i == 0:  # `ln_pre` acts on each token alone
                    extra = layer_norm(extra, self.module.ln_pre)
                if i == len(prompts) - 1:  # no layer replaces these: carried on
                    x, extra = torch.cat([x, extra.expand(len(x), -1, -1)], 1), None
            if i < len(self.blocks) - 1:
                x = block(x, extra)
        return x

    def from_last(self, x: Tensor, normed: Tensor) -> Tensor:
        """Features `(b, embed_dim)` from the last block's input `x` and its LN1 `normed`, for the class token alone."""
        block = self.blocks[-1]
        k, v = block.kv(normed).chunk(2, -1)
        attended = block.attend(block.q(normed[:, :1]), k, v)
        x = block.finish(x[:, 0], attended[:, 0])
        return layer_norm(x, self.module.ln_post) @ self.module.proj


def _replaced(x: Tensor, position: Tensor, layer: int, deep: Sequence[Tensor]) -> Tensor:
    """`x` `(t, width)` with positions 1..n_ctx taken by this layer's own prompts, if it has any."""
    if not 0 < layer <= len(deep):
        return x
    own = deep[layer - 1].to(x.dtype)
    here = ((position >= 1) & (position <= len(own))).nonzero()[:, 0]
    return x.index_copy(0, here, own[position[here] - 1])
