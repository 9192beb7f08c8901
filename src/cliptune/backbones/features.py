"""Normalised features from the outputs of the towers, and their cosines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.types import Prompts

if TYPE_CHECKING:
    from torch import Tensor


def adapted(raw: Tensor, adapter: Callable[[Tensor], Tensor] | None) -> Tensor:
    """The tower's output `(n, d)` after `adapter`, un-normalised; as it is if there is none."""
    return raw if adapter is None else adapter(raw.float())


def image_features(raw: Tensor, prompts: Prompts) -> Tensor:
    """L2-normalised features `(b, d)` from the tower's output, after the adapter of `prompts` if there is one."""
    return normalise(adapted(raw, prompts.adapt_image))


def text_features(raw: Tensor, sentences: TokenizedText, prompts: Prompts | None = None) -> Tensor:
    """L2-normalised features `(n_classes, d)` from the tower's output `(n, d)`, after the adapter of `prompts` if there
    is one, averaged over the normalised features of a class's sentences."""
    features = normalise(adapted(raw, prompts and prompts.adapt_text))
    return features if sentences.one_per_class else normalise(class_means(features, sentences))


def class_means(features: Tensor, sentences: TokenizedText) -> Tensor:
    """Mean over the texts of each class: `(..., n, d)` -> `(..., n_classes, d)`."""
    if sentences.one_per_class:
        return features
    if sentences.owner is None:
        return features.unflatten(-2, (-1, sentences.per_class)).mean(-2)
    sentences = sentences.to(features.device)
    owner, counts = sentences.classes, sentences.texts_per_class
    total = features.new_zeros(*features.shape[:-2], len(counts), features.shape[-1]).index_add(-2, owner, features)
    return total / counts[:, None]


def cosines(image: Tensor, text: Tensor) -> Tensor:
    """Cosines `(b, c)` of normalised features `(b, d)` and `(c, d)`, or `(b, c, d)` for text that depends on images."""
    return image @ text.T if text.ndim == 2 else (text @ image[:, :, None])[:, :, 0]


def scaled_cosines(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """`scale * cosines + bias`, `(b, c)`, from normalised features; None for no bias."""
    logits = scale * cosines(image, text)
    return logits if bias is None else logits + bias


def normalise(x: Tensor) -> Tensor:
    """`x / ||x||_2` along the last axis, in float32 and with no epsilon, as CLIP does."""
    x = x.float()
    return x / x.norm(dim=-1, keepdim=True)
