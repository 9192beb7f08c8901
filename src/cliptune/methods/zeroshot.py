"""Zero-shot CLIP: class prompts from templates, nothing learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone

#: The seven templates that CLIP's authors selected on ImageNet.
SEVEN_TEMPLATES = (
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
)


@dataclass(frozen=True)
class ZeroShot(Method):
    """Zero-shot classification with hand-written prompts.

    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
    https://arxiv.org/abs/2103.00020. Checked against CoOp ff61507. Trains nothing.
    """

    ensemble: Literal["single", "seven", "eighty"] = "single"
    """Templates: the dataset's, the seven selected ones and the dataset's, or CLIP's eighty for ImageNet."""
    template: str = ""
    """A template with one {}, instead of the dataset's."""

    trains = False

    def __post_init__(self):
        checks.template("template", self.template or "{}")

    def unused_fields(self) -> dict[str, str]:
        return {"template": "ensemble is CLIP's eighty templates"} if self.ensemble == "eighty" else {}

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.no_prompts import NoPrompts

        return NoPrompts()

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        import open_clip

        own = (self.template or templates[0],)
        chosen = {
            "single": own,
            # If the dataset's template is among the seven, it counts once.
            "seven": (*SEVEN_TEMPLATES, *(t for t in own if t not in SEVEN_TEMPLATES)),
            "eighty": tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES),
        }[self.ensemble]
        return tokenize_templates(backbone.prompt_tokenizer, chosen, classnames)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
