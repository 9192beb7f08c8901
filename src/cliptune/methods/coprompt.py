"""CoPrompt: MaPLe's prompts and adapters, consistent with the frozen model on other views and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.knowledge_guidance import text_distance_loss
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.descriptions import SentenceTeacher
    from cliptune.model.tuned_model import TunedModel

#: Share of the features' width in the hidden layer of the adapters.
REDUCTION = 4


@dataclass(frozen=True)
class CoPrompt(Method):
    """MaPLe's prompts and an adapter per tower; features stay near the frozen model's of perturbed inputs.

    Roy & Etemad, Consistency-guided Prompt Learning for Vision-Language Models, ICLR 2024,
    https://arxiv.org/abs/2306.01195. Checked against CoPrompt a2a6c12. The frozen model sees another augmented view of
    each image, and one sentence about each class, drawn for each step.
    """

    needs_second_view = True

    n_ctx: int = 4
    """Tokens per layer. Words beyond them stay fixed before the name."""
    depth: int = 12
    """Number of prompted layers, including the input."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first layer."""
    descriptions: str = ""
    """JSON file with an object: class name -> list of sentences. Case and underscores of names do not count."""
    weight: float = 8.0
    """Weight of the consistency loss."""
    distance: Literal["cosine", "mse"] = "cosine"
    """Distance of features: 1 - cosine, or the mean squared difference of normalised features."""
    image_ratio: float = 0.1
    """Share of the adapter in image features."""
    text_ratio: float = 0.2
    """Share of the adapter in text features."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        _ = self.maple  # validates the fields
        checks.at_least(self, 0, "weight")
        checks.between(self, 0, 1, "image_ratio", "text_ratio")

    @property
    def maple(self) -> Maple:
        """MaPLe with the same prompts."""
        return Maple(self.n_ctx, self.depth, self.words)

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.bottleneck import AdaptedPrompts, BottleneckAdapter
        from cliptune.prompts.initialization import init_linear

        prompts, width = self.maple.learner(backbone, classnames, generator), backbone.embed_dim
        hidden = max(1, width // REDUCTION)

        def adapter(ratio: float) -> BottleneckAdapter:
            down = init_linear(width, hidden, generator, bias=False)
            return BottleneckAdapter(down, init_linear(hidden, width, generator, bias=False), ratio, final_relu=True)

        return AdaptedPrompts(prompts, adapter(self.image_ratio), adapter(self.text_ratio))

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.maple.class_prompts(backbone, classnames, templates)

    def prepare(self, model: TunedModel, task: Task) -> SentenceTeacher:
        from cliptune.model.descriptions import SentenceTeacher

        return SentenceTeacher.of(model.backbone, self.descriptions, model.classnames, model.templates[0], task.seed)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        import torch.nn.functional as F

        teacher: SentenceTeacher = state.memory
        assert batch.second_view is not None
        image, text = teacher.image(batch.second_view), teacher.text(state)
        distance = text_distance_loss if self.distance == "cosine" else F.mse_loss
        consistency = distance(out.text, text) + distance(out.image["image"], image)
        return {"ce": classification_loss(out.logits, batch), "consistency": self.weight * consistency}
