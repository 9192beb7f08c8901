"""CuPL: zero-shot classification with sentences about each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune.backbones.tokenized_text import TokenizedText
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class Cupl(Method):
    """Zero-shot classification with sentences that describe the classes.

    Pratt et al., What does a platypus look like? Generating customized prompts for zero-shot image classification,
    ICCV 2023, https://arxiv.org/abs/2209.03320. Checked against CLIP-LoRA 358f0d7, which has the same class features.
    Trains nothing.
    """

    descriptions: str = ""
    """JSON file with an object: class name -> list of sentences. Case and underscores of names do not count."""

    trains = False

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.no_prompts import NoPrompts

        return NoPrompts()

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        from cliptune.model.descriptions import Descriptions

        return Descriptions.read(self.descriptions).tokenized(backbone.prompt_tokenizer, classnames, templates[0])

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
