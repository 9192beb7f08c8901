"""Where learned tokens enter the transformers: exact towers that do no work twice.

Text. Attention is causal and the feature is read at one position, mostly end-of-text, so nothing after the longest end
matters, and the tokens that all sentences share at the front (start-of-text, shared context, common words) have
class-independent keys and values in every layer, deep prompts included. They pass the tower once; each class adds only
its own remaining tokens, packed without padding. Towers that are not causal are in `whole.py`.

Images. Prompts are the same for all images of a batch, and those that the next layer replaces are only seen, never
carried on.

Tokens that only lend keys and values are seen by every query of their layer in either tower, the shared front's too.

The last block is computed for the pooled token alone, and what is frozen before the first block has no autograd graph.
All of it gives the same numbers as the textbook computation to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cliptune.backbones.blocks import FrozenBlock, layer_norm
from cliptune.backbones.packed_sequences import PackedSequences
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import KeyValues, Prompts


def run_chunks(features: Callable[..., tuple[Tensor, ...]], pieces: Sequence[tuple]) -> tuple[Tensor, ...]:
    """`features` of all pieces, joined; of several, the backward pass recomputes each, so that memory holds one."""
    if len(pieces) == 1 or not torch.is_grad_enabled():
        parts = [features(*piece) for piece in pieces]
    else:
        again = partial(checkpoint, features, use_reentrant=False, preserve_rng_state=False)
        parts = [again(*piece) for piece in pieces]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def project(x: Tensor, projection: Any) -> Tensor:
    """`x` in the space of features, as open_clip stores the way there: a module, a matrix, or None."""
    if projection is None:
        return x
    return projection(x) if isinstance(projection, nn.Module) else x @ projection


def at_layer(layers: Sequence[KeyValues | None], i: int) -> KeyValues | None:
    """What layer `i` sees besides its own sequence."""
    return layers[i] if i < len(layers) else None


class PackedTextTower:
    """open_clip's causal text transformer, taking `Sentences` and `Prompts`.

    module: whatever carries `token_embedding`, `positional_embedding`, `transformer`, `ln_final` and `text_projection`.
    chunk: packed tokens in one piece; more are cut and, where a gradient flows, recomputed in the backward pass.
    """

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset(), chunk: int = 4096):
        self.module, self.chunk = module, chunk
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]

    def __call__(self, sentences: TokenizedText, prompts: Prompts) -> Tensor:
        """Un-normalised features `(n, embed_dim)` of `n` sentences, not yet pooled over `per_class`.

        Where the prompts bring a trail, the pooled tokens after each block are left in it.
        """
        text, deep, trail = prompts.text, prompts.text_deep, prompts.trail
        own = text if text is not None and text.ndim == 3 else None  # a context for each sentence
        prefix = sentences.shared_prefix(own is None)
        size = max(1, self.chunk // int((sentences.end - prefix + 1).max()))
        every = trail is not None
        pieces = []
        for start in range(0, len(sentences), size):
            rows = slice(start, start + size)
            context = text if own is None else own[rows]
            pieces.append((sentences.rows(rows), context, deep, prompts.text_kv, prefix, every))
        features, *pooled = run_chunks(self._features, pieces)
        if trail is not None:
            trail.text += pooled
        return features

    def each(self, sentences: TokenizedText, contexts: Tensor, prompts: Prompts) -> Tensor:
        """Un-normalised features `(b, n, embed_dim)` of all `n` sentences with each context of `(b, n_ctx, width)`.

        As many contexts as fit into a chunk pass together, each with a prefix of its own.
        """
        deep, lent, prefix = prompts.text_deep, prompts.text_kv, sentences.shared_prefix(True)
        size = self.chunk // (len(sentences) * int((sentences.end - prefix + 1).max()))
        if size == 0:
            return torch.stack([self(sentences, replace(prompts, text=context)) for context in contexts])
        pieces = [(sentences, own, deep, lent, prefix, False, len(own)) for own in contexts.split(size)]
        return run_chunks(self._features, pieces)[0].unflatten(0, (len(contexts), -1))

    def embed(
        self, sentences: TokenizedText, text: Tensor | None, row: Tensor, position: Tensor, owner: Tensor | None = None
    ) -> Tensor:
        """Layer-0 tokens `(t, width)` at these rows and positions; learned vectors get positional embeddings too.

        owner: `(t,)` whose of the contexts `(k, n_ctx, width)` a token takes, by default its row's.
        """
        given = sentences.embeddings
        tokens = self.module.token_embedding(sentences.ids[row, position]) if given is None else given[row, position]
        if text is not None:
            slots = sentences.slots[row, position]
            learned = (slots >= 0).nonzero()[:, 0]
            own = (row if owner is None else owner)[learned]
            vectors = text[slots[learned]] if text.ndim == 2 else text[own, slots[learned]]
            tokens = tokens.index_copy(0, learned, vectors.to(tokens.dtype))
        return tokens + self.module.positional_embedding[position].to(tokens.dtype)

    def _features(
        self,
        sentences: TokenizedText,
        text: Tensor | None,
        deep: Sequence[Tensor],
        lent: Sequence[KeyValues | None],
        prefix: int,
        every: bool,
        groups: int = 0,
    ) -> tuple[Tensor, ...]:
        """All layers for the packed tokens; attention alone sees them padded.

        groups: take all sentences with each of that many contexts `text`, context after context.
        Returns the features, followed by the pooled tokens after each block if `every`.
        """
        pooled: list[Tensor] = []
        packing = PackedSequences.of(sentences, prefix, groups or 1)
        row, position, last = packing.row, packing.position, packing.last
        within, causal = packing.causal()
        x = self.embed(sentences, text, row, position, packing.group if groups else row)
        width = x.shape[-1]
        for i, block in enumerate(self.blocks[:-1]):
            x = _replaced(x, position - sentences.lead, i, deep)
            if i == 0 and text is not None:  # only learned vectors need a graph through the first projection
                learned = (sentences.slots[row, position] >= 0).nonzero()[:, 0]
                one = PackedSequences.of(sentences, prefix) if groups else packing  # the rest is the same in all groups
                frozen = block.qkv(block.normed(self.embed(sentences, None, one.row, one.position)))
                moved = block.qkv(block.normed(x.index_select(0, learned)))
                qkv = packing.repeated(frozen).index_copy(0, learned, moved)
            else:
                qkv = block.qkv(block.normed(x))
            shared, q, kv = packing.spread(qkv, width)
            k, v = kv.chunk(2, -1)
            more = block.lent(at_layer(lent, i), x)
            own = block.attend(q, k, v, causal, more)
            q, k, v = shared.chunk(3, -1)
            x = block.finish(x, packing.gather(block.attend(q, k, v, within, more), own))
            if every:
                pooled.append(x.index_select(0, last))
        block = self.blocks[-1]
        x = _replaced(x, position - sentences.lead, len(self.blocks) - 1, deep)
        normed = block.normed(x)
        k, v = packing.spread(block.kv(normed), 0)[2].chunk(2, -1)
        seen = torch.cat([packing.inside.new_ones(len(last), prefix), packing.inside], 1)
        more = block.lent(at_layer(lent, len(self.blocks) - 1), x)
        attended = block.attend(block.q(normed.index_select(0, last))[:, None], k, v, seen[:, None, None], more)
        end = block.finish(x.index_select(0, last), attended[:, 0])
        features = project(layer_norm(end, self.module.ln_final), self.module.text_projection)
        return (features, *pooled, end) if every else (features,)


class ImageTower:
    """open_clip's vision transformer, taking normalised images and per-layer tokens."""

    def __init__(self, module: Any, onednn: frozenset[torch.dtype] = frozenset()):
        self.module = module
        self.blocks = [FrozenBlock(block, onednn) for block in module.transformer.resblocks]

    def __call__(
        self,
        images: Tensor,
        prompts: Sequence[Tensor] = (),
        trail: list[Tensor] | None = None,
        lent: Sequence[KeyValues | None] = (),
    ) -> Tensor:
        """Un-normalised features `(b, embed_dim)` of `images` `(b, 3, H, W)`; `prompts` one `(n, width)` a layer.

        trail: takes the class token `(b, width)` after each block. lent: what each layer sees besides, or None.
        """
        x = self.before_last(images, prompts, trail, lent)
        return self.from_last(x, self.blocks[-1].normed(x), trail, lent)

    def before_last(
        self,
        images: Tensor,
        prompts: Sequence[Tensor] = (),
        trail: list[Tensor] | None = None,
        lent: Sequence[KeyValues | None] = (),
    ) -> Tensor:
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
                x = block(x, extra, at_layer(lent, i))
                if trail is not None:
                    trail.append(x[:, 0])
        return x

    def values(self, x: Tensor) -> Tensor:
        """What each token of the last block's input `x` has to say, as a feature: `(b, n, embed_dim)`, its value
        projected as the class token's output is."""
        block = self.blocks[-1]
        value = block.kv(block.normed(x)).chunk(2, -1)[1]
        return layer_norm(block.out(value), self.module.ln_post) @ self.module.proj

    def from_last(
        self,
        x: Tensor,
        normed: Tensor,
        trail: list[Tensor] | None = None,
        lent: Sequence[KeyValues | None] = (),
    ) -> Tensor:
        """Features `(b, embed_dim)` from the last block's input `x` and its LN1 `normed`, for the class token alone."""
        block = self.blocks[-1]
        k, v = block.kv(normed).chunk(2, -1)
        more = block.lent(at_layer(lent, len(self.blocks) - 1), x)
        attended = block.attend(block.q(normed[:, :1]), k, v, None, more)
        x = block.finish(x[:, 0], attended[:, 0])
        if trail is not None:
            trail.append(x)
        return layer_norm(x, self.module.ln_post) @ self.module.proj


def _replaced(x: Tensor, position: Tensor, layer: int, deep: Sequence[Tensor]) -> Tensor:
    """`x` `(t, width)` with positions 0..n_ctx-1 taken by this layer's own prompts, if it has any."""
    if not 0 < layer <= len(deep):
        return x
    own = deep[layer - 1].to(x.dtype)
    here = ((position >= 0) & (position < len(own))).nonzero()[:, 0]
    return x.index_copy(0, here, own[position[here]])
