"""Text context, image tokens per layer, and image tokens that a cross-attention makes from class features (DPT)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn

from cliptune.prompts.initialization import init_linear, random_tokens
from cliptune.types import ImageContext, MadeTokens, Prompts

#: Width of queries and keys, and number of learned keys, in the released code.
ATTENTION_WIDTH = 32
LEARNED_KEYS = 10
#: Name in `Prompts.parts` of the layers that make tokens.
LAYERS = "class_aware_layers"


def top_classes(image: Tensor, text: Tensor, count: int) -> Tensor:
    """Indices `(b, min(count, C))` of the classes nearest to each image, the nearest first.

    image: Normalised features `(b, d)`. text: Normalised class features `(C, d)`.
    """
    return (image @ text.T).topk(min(count, len(text)), -1).indices


class ClassAwareLayer(nn.Module):
    """Makes tokens of one layer: one attention of queries, made from class features, to the layer's inputs.

    Args:
        width: Width of the image tower.
        features: Width of class features.
        classes: Number of trained classes, for `classifier`.
        generator: Initialises the layer.
    """

    def __init__(self, width: int, features: int, classes: int, generator: Generator):
        super().__init__()
        self.query = init_linear(features, width, generator)
        self.to_q = init_linear(width, ATTENTION_WIDTH, generator, bias=False)
        self.to_k = init_linear(width, ATTENTION_WIDTH, generator, bias=False)
        self.to_v = init_linear(width, width, generator, bias=False)
        self.keys = nn.Parameter(random_tokens(LEARNED_KEYS, width, generator))
        self.norm_read, self.norm_tokens = nn.LayerNorm(width), nn.LayerNorm(width)
        #: Classifies what the attention reads; used by the loss alone.
        self.classifier = init_linear(width, classes, generator, bias=False)

    def forward(self, x: Tensor, classes: Tensor) -> MadeTokens:
        """Tokens `(b, k, width)` for the layer's inputs `(b, n, width)` and class features `(b, k, features)`.

        No gradient reaches the inputs, as in the released code.
        """
        queries = self.query(classes.to(self.keys.dtype))
        seen = x.detach().to(self.keys.dtype)
        seen = torch.cat([seen, self.keys.expand(x.shape[0], -1, -1)], 1)
        scores = self.to_q(queries) @ self.to_k(seen).mT / ATTENTION_WIDTH**0.5
        attended = self.to_v(scores.softmax(-1).to(seen.dtype) @ seen)
        read = self.norm_read(attended).to(self.keys.dtype)  # losses run in full precision
        return MadeTokens(self.norm_tokens(attended + queries), read)


class DualPrompts(nn.Module):
    """Context of the text tower, tokens of the lower layers of the image tower, class-aware tokens of the upper ones.

    Called with the normalised frozen features `(C, d)` of the class names, which choose the classes of each image.

    Args:
        text: Initial context `(n_ctx, text_width)`.
        image: Initial tokens `(n, image_width)` of image layers 0, 1, ...; () for none.
        layers: Make the tokens of the layers from `first` on.
        first: Index of the first class-aware layer.
        count: Number of classes chosen per image.
    """

    def __init__(
        self, text: Tensor, image: Sequence[Tensor], layers: Sequence[ClassAwareLayer], first: int, count: int
    ):
        super().__init__()
        self.text = nn.Parameter(text.clone())
        self.image = nn.ParameterList([start.clone() for start in image])
        self.layers = nn.ModuleList(layers)
        self.first, self.count = first, count

    def forward(self, frozen: Tensor) -> Prompts:
        image = tuple(self.image)
        made = [partial(self._make, layer, frozen) for layer in self.layers]  # type: ignore[arg-type]
        # No tokens replace those of the last layer with some, which reach none of the class-aware layers.
        end = (image[0][:0],) if image else ()
        before = (None,) * self.first
        parts = {LAYERS: tuple(self.layers)}
        return Prompts(self.text, image=(*image, *end), image_made=(*before, *made), input_norm=False, parts=parts)

    def _make(self, layer: ClassAwareLayer, frozen: Tensor, x: Tensor, context: ImageContext) -> MadeTokens:
        return layer(x, context.classes[top_classes(context.frozen, frozen, self.count)])
