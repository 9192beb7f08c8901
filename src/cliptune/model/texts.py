"""Text features of a tuned model: of the prompts of its classes, and of further prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import adapted, class_means, normalise, text_features
from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.errors import UserError
from cliptune.types import Prompts


class FrozenText:
    """Tokenized text, and its features under the frozen text tower, computed once per device and precision."""

    def __init__(self, text: TokenizedText):
        self.text = text
        self._features: dict[Any, Tensor] = {}

    @torch.no_grad()
    def features(self, backbone: Backbone) -> Tensor:
        """Features `(n, d)` without prompts, neither adapted nor normalised."""
        key = backbone.logit_scale.device, backbone.autocast
        if key not in self._features:
            self._features[key] = backbone.encode_text(self.text)
        return self._features[key]

    def encode(self, backbone: Backbone, prompts: Prompts) -> Tensor:
        """Features `(n, d)` with `prompts`, neither adapted nor normalised."""
        return self.features(backbone) if prompts.fixed_text else backbone.encode_text(self.text, prompts)


@dataclass(frozen=True)
class TextOutputs:
    """Text features of a model: normalised `features` of classes and of `extra` prompts, `raw` class features before
    normalisation, normalised features of each of the classes' `texts`, and pooled tokens after each block, if
    requested."""

    features: Tensor
    extra: Tensor | None = None
    raw: Tensor | None = None
    texts: Tensor | None = None
    blocks: tuple[Tensor, ...] = ()

    @property
    def of_tokens(self) -> Tensor:
        """Class features `(C, d)` from which image tokens are made: un-normalised, if the text tower computed them."""
        return self.features if self.raw is None else self.raw


class TextEncoder:
    """Encodes the prompts of a model's classes, and further prompts, which are tokenized once.

    Args:
        backbone: The frozen CLIP.
        classes: The prompts of the classes.
        method: Name of the method, for messages.
    """

    def __init__(self, backbone: Backbone, classes: TokenizedText, method: str):
        self.backbone, self.classes, self.method = backbone, FrozenText(classes), method
        self._extra: dict[tuple[str, ...], FrozenText] = {}

    def encode(self, prompts: Prompts, image: Tensor | None, extra: Sequence[str], record: bool) -> TextOutputs:
        """Class features `(C, d)`, or `(b, C, d)` with a context per image, and features of `extra` prompts, if any.

        image: Normalised features `(b, d)`, for prompts that depend on the image; `UserError` for these without them.
        record: Also return pooled tokens after each block.
        """
        text, contexts, blocks = self.classes.text, self._contexts(prompts, image), ()
        if contexts is not None:
            raw = self.backbone.encode_text_per_image(text, contexts, prompts)
        elif record:
            raw, blocks = self.backbone.encode_text_with_block_features(text, prompts)
        else:
            raw = self.classes.encode(self.backbone, prompts)
        own = adapted(raw.flatten(0, -2), prompts.adapt_text).unflatten(0, raw.shape[:-1])
        texts, means = normalise(own), class_means(own, text)
        features = texts if text.one_per_class else normalise(class_means(texts, text))
        if prompts.class_offset is not None:
            means = means + prompts.class_offset
            features = normalise(means)
        return TextOutputs(features, self.encode_extra(extra, prompts) if extra else None, means, texts, blocks)

    def encode_extra(self, texts: Sequence[str], prompts: Prompts) -> Tensor:
        """Normalised features `(P, d)` of texts that belong to no class, and take no tokens of single classes."""
        key = tuple(texts)
        if key not in self._extra:
            self._extra[key] = FrozenText(self.backbone.tokenize(key))
        shared = tuple(None if x is not None and x.ndim == 3 else x for x in prompts.text_deep)
        prompts, extra = replace(prompts, text_deep=shared), self._extra[key]
        # Without an empty graph, which context vectors without a slot would leave behind.
        fixed = prompts.fixed_other_text
        raw = extra.features(self.backbone) if fixed else self.backbone.encode_text(extra.text, prompts)
        return text_features(raw, extra.text, prompts)

    def _contexts(self, prompts: Prompts, image: Tensor | None) -> Tensor | None:
        """Context vectors `(b, n_ctx, width)` of each image, if the prompts depend on the image."""
        if prompts.conditional is None:
            return None
        if image is None:
            raise UserError(
                f"the prompts of this model ({self.method}) depend on the image, so there are no text features without "
                f"one; use predict or logits"
            )
        return prompts.conditional(image)
