"""CoCoOp: learned context that is conditioned on the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class CoCoOp(Method):
    """CoOp's context plus a shift per image, which a small network computes from the image feature.

    Each image has its own prompts, so the text tower runs once per image.

    Zhou et al., Conditional Prompt Learning for Vision-Language Models, CVPR 2022, https://arxiv.org/abs/2203.05557.
    Checked against multimodal-prompt-learning 69bce21.
    """

    n_ctx: int = 4
    """Number of context vectors (M in the paper); the number of words if `words` is given."""
    words: str = "a photo of a"
    """Initialise from these words, one vector per word; "" initialises at random."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        self.coop()  # validates the fields

    def coop(self) -> CoOp:
        """CoOp with the same context."""
        return CoOp(self.n_ctx, self.words)

    def unused_fields(self) -> dict[str, str]:
        return self.coop().unused_n_ctx()

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.conditional import ConditionalContext

        start = self.coop().learner(backbone, classnames, generator)().text
        return ConditionalContext(start.detach(), backbone.embed_dim, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.coop().class_prompts(backbone, classnames, templates)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
