"""The frozen model as a teacher: what it says of classes and images without any prompts."""

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
#: The sentences of PromptSRC's and DPL's teachers, as released: the plain one, and the others among the first sixty of
#: CLIP's eighty.
SIXTY_TEMPLATES = (
    PLAIN_TEMPLATE,
    *(said for said in (t("{}") for t in open_clip.OPENAI_IMAGENET_TEMPLATES[:60]) if said != PLAIN_TEMPLATE),
)


@dataclass(frozen=True)
class Teacher:
    """Normalised features of the classes, `text` `(C, d)`, and of whatever images it is shown."""

    backbone: Backbone
    text: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> Teacher:
        """A teacher that knows each class as the mean of its sentences' features, averaged before normalising.

        (An ensemble for zero-shot classification normalises each sentence first, see `text_features`.)
        """
        # Template by template, as the words in front of the names are then the same for all and computed once.
        features = [
            backbone.encode_text(tokenize_templates(backbone.prompt_tokenizer, [template], classnames)).float()
            for template in templates
        ]
        return cls(backbone, normalise(torch.stack(features).mean(0)))

    @torch.no_grad()
    def image(self, images: Tensor) -> Tensor:
        """Normalised features `(b, d)` of `images` `(b, 3, H, W)`, or of features `(b, d)` made earlier."""
        return normalise(images if images.ndim == 2 else self.backbone.encode_image(images))

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """`(b, C)` from normalised features `(b, d)`."""
        return scaled_cosines(image, self.text, self.backbone.logit_scale, self.backbone.logit_bias)
