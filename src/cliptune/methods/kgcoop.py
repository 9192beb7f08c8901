"""KgCoOp: CoOp with a penalty on the distance to the class features of hand-written prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.knowledge_guidance import text_distance_loss
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

#: The words that the released code initialises from, regardless of its configuration.
RELEASED_WORDS = "a photo of a"


@dataclass(frozen=True)
class KgCoOp(Method):
    """CoOp's context, shared by all classes, with class features kept near those of the dataset's template.

    Yao et al., Visual-Language Prompt Tuning with Knowledge-guided Context Optimization, CVPR 2023,
    https://arxiv.org/abs/2303.13283. Checked against RESTORE 4c64a17.
    """

    n_ctx: int = 4
    """Number of context vectors; the number of words if `words` is given."""
    words: str = "a photo of a"
    """Initialise from these words, one vector per word; "" initialises at random."""
    weight: float = 8.0
    """Weight of the penalty (lambda in the paper). The copy in RESTORE's comparison used 1.0."""
    template: str = ""
    """The teacher's template with one {}, instead of the dataset's."""
    compat: Literal["paper", "release"] = "paper"
    """Initialise from `words`, or as released from "a photo of a" unless `words` is empty."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 0, "weight")
        checks.template("template", self.template or "{}")
        self.coop()  # validates the fields

    def coop(self) -> CoOp:
        """CoOp with the same context."""
        return CoOp(self.n_ctx, RELEASED_WORDS if self.words and self.compat == "release" else self.words)

    def unused_fields(self) -> dict[str, str]:
        return self.coop().unused_n_ctx()

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        return self.coop().learner(backbone, classnames, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.coop().class_prompts(backbone, classnames, templates)

    def prepare(self, model: TunedModel, task: Task) -> Tensor:
        from cliptune.backbones.teacher import Teacher

        templates = (self.template,) if self.template else model.templates
        return Teacher.of(model.backbone, model.classnames, templates).text

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {
            "ce": classification_loss(out.logits, batch),
            "knowledge": self.weight * text_distance_loss(out.text, state.memory),
        }
