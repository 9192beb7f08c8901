"""PromptSRC: independent prompts, regularised towards the frozen model and averaged over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.methods.ivlp import Ivlp
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.distillation import mean_kl
from cliptune.prompts.averaging import average_states, gaussian_weights
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.teacher import Teacher
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class PromptSrc(Method):
    """IVLP's prompts with self-consistency losses on text, images and logits, and a Gaussian average over the epochs.

    Khattak et al., Self-regulating Prompts: Foundational Model Adaptation without Forgetting, ICCV 2023,
    https://arxiv.org/abs/2307.06948. Checked against PromptSRC bb95c77.
    """

    needs_history = True

    n_ctx_text: int = 4
    """Tokens per layer of the text tower."""
    depth_text: int = 9
    """Number of prompted layers of the text tower, including the input."""
    n_ctx_image: int = 4
    """Tokens per layer of the image tower."""
    depth_image: int = 9
    """Number of prompted layers of the image tower, including the input."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first text layer."""
    text_weight: float = 25.0
    """Weight of the distance between tuned and frozen text features (lambda_2)."""
    image_weight: float = 10.0
    """Weight of the distance between tuned and frozen image features (lambda_1)."""
    aggregate_mean: float = 15.0
    """Mean of the Gaussian weights in epochs, counted from 1; the default suits 20 epochs."""
    aggregate_std: float = 1.0
    """Standard deviation of the Gaussian weights in epochs."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        _ = self.ivlp  # validates the fields
        checks.at_least(self, 0, "text_weight", "image_weight")
        checks.finite(self, "aggregate_mean")
        checks.positive(self, "aggregate_std")

    @property
    def ivlp(self) -> Ivlp:
        """IVLP with the same prompts."""
        return Ivlp(self.n_ctx_text, self.depth_text, self.n_ctx_image, self.depth_image, self.words)

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        return self.ivlp.learner(backbone, classnames, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.ivlp.class_prompts(backbone, classnames, templates)

    def prepare(self, model: TunedModel, task: Task) -> Teacher:
        from cliptune.backbones.teacher import SIXTY_TEMPLATES, Teacher

        return Teacher.of(model.backbone, model.classnames, SIXTY_TEMPLATES)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        import torch.nn.functional as F

        teacher: Teacher = state.memory
        image = teacher.image(batch.images)
        # The teacher has one column per class, while a wrapper may have added columns to `out.logits`.
        logits = self.logits(out)
        return {
            "ce": classification_loss(out.logits, batch),
            "text": self.text_weight * F.l1_loss(out.text, teacher.text),
            "image": self.image_weight * F.l1_loss(out.image["image"], image),
            "logits": mean_kl(logits, teacher.logits(image)),
        }

    def finish(self, model: TunedModel, history: Sequence[Mapping[str, Tensor]]) -> None:
        if history:
            weights = gaussian_weights(len(history), self.aggregate_mean, self.aggregate_std)
            model.learner.load_state_dict(average_states(history, weights))
