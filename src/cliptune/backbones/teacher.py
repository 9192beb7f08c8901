"""The frozen model without prompts as a teacher: its features and logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import open_clip
import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.features import normalise, scaled_cosines
from cliptune.backbones.tokenized_text import tokenize_templates

PLAIN_TEMPLATE = "a photo of a {}."
#: Templates of the teachers in the released code of PromptSRC and DPL: the plain one, and the others among the first
#: sixty of CLIP's eighty.
SIXTY_TEMPLATES = (
    PLAIN_TEMPLATE,
    *(text for text in (t("{}") for t in open_clip.OPENAI_IMAGENET_TEMPLATES[:60]) if text != PLAIN_TEMPLATE),
)


@dataclass(frozen=True)
class Teacher:
    """The frozen backbone with `text`, normalised class features `(C, d)`."""

    backbone: Backbone
    text: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> Teacher:
        """A teacher whose class features are the mean over templates, normalised after averaging.

        (An ensemble for zero-shot classification normalises each sentence first, see `text_features`.)
        """
        # One template at a time, so that the words before the names are shared by all texts and computed once.
        features = [
            backbone.encode_text(tokenize_templates(backbone.prompt_tokenizer, [template], classnames)).float()
            for template in templates
        ]
        return cls(backbone, normalise(torch.stack(features).mean(0)))

    @torch.no_grad()
    def image(self, images: Tensor) -> Tensor:
        """Normalised features `(b, d)` of `images` `(b, 3, H, W)`, or of features `(b, d)` computed before."""
        return normalise(images if images.ndim == 2 else self.backbone.encode_image(images))

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """Logits `(b, C)` from normalised features `(b, d)`."""
        return scaled_cosines(image, self.text, self.backbone.logit_scale, self.backbone.logit_bias)
