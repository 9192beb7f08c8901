"""TCP: context vectors that tokens made from each class's own text feature replace in a middle layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import (
    TokenizedText,
    clean_words,
    fixed_templates,
    name_templates,
    tokenize_with_context,
)
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.knowledge_guidance import text_distance_loss
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class Tcp(Method):
    """CoOp's context, replaced in one layer of the text tower by tokens that a network computes from the class's frozen
    text feature, with class features kept near the frozen ones.

    Names that were not trained get their tokens from the same network.

    Yao et al., TCP: Textual-based Class-aware Prompt tuning for Visual-Language Model, CVPR 2024,
    https://arxiv.org/abs/2311.18231. Checked against Textual-based_Class-aware_prompt_tuning bd97bec.
    """

    template_table = "tcp"

    n_ctx: int = 4
    """Number of context vectors and of tokens per class; the number of words if `words` is given."""
    words: str = ""
    """Initialise from these words, one vector per word, instead of at random."""
    block: int = 8
    """Index of the text tower's layer, from 0, at whose input the tokens of the classes replace the context."""
    weight: float = 8.0
    """Weight of the distance between tuned and frozen class features."""
    name_template: str = ""
    """What follows the context vectors, with one {}, such as "{}, a type of pet."; by default, that of the released
    code for the dataset, or "{}."."""
    template: str = ""
    """The template of the frozen class features, with one {}; by default, that of the released code for the dataset."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "block")
        checks.at_least(self, 0, "weight")
        checks.template("name_template", self.name_template or "{}")
        checks.template("template", self.template or "{}")
        self.coop()  # validates the fields

    def coop(self) -> CoOp:
        """CoOp with the same context."""
        return CoOp(self.n_ctx, self.words)

    def unused_fields(self) -> dict[str, str]:
        return self.coop().unused_n_ctx()

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.class_aware import ClassAwareContext

        if self.block >= backbone.text_depth:
            raise UserError(
                f"block={self.block} is not one of the layers 1 to {backbone.text_depth - 1} of the text tower of "
                f"{backbone.name!r}; decrease it"
            )
        start = self.coop().learner(backbone, classnames, generator)().text
        return ClassAwareContext(start.detach(), backbone.embed_dim, self.block, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        after = self.name_template or next(iter(name_templates(templates)), "{}.")
        length = self.coop().length
        return tokenize_with_context(backbone.prompt_tokenizer, self.words, length, classnames, name_template=after)

    def class_inputs(self, model: TunedModel) -> Tensor:
        from cliptune.backbones.teacher import Teacher

        templates = [self.template] if self.template else fixed_templates(model.templates)
        return Teacher.of(model.backbone, model.classnames, templates).text

    def prepare(self, model: TunedModel, task: Task) -> Tensor:
        return self.class_inputs(model)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {
            "ce": classification_loss(out.logits, batch),
            "knowledge": self.weight * text_distance_loss(out.text, state.memory),
        }
