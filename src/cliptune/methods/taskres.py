"""TaskRes: a learned residual on the text feature of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class TaskRes(Method):
    """A residual added to each class's text feature, before it is normalised; the text tower stays frozen.

    The text feature is the mean over the dataset's templates. A name that was not trained keeps CLIP's feature: in
    base-to-novel, novel classes are classified as by zero-shot CLIP.

    Yu et al., Task Residual for Tuning Vision-Language Models, CVPR 2023, https://arxiv.org/abs/2211.10277.
    Checked against TaskRes 5195359, with its regular base; the enhanced base is another text projection.
    """

    alpha: float = 0.5
    """Factor of the residual; the paper has 1 for Oxford Flowers."""

    def __post_init__(self):
        checks.positive(self, "alpha")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.residual import TaskResidual

        return TaskResidual(len(classnames), backbone.embed_dim, self.alpha)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_templates(backbone.prompt_tokenizer, templates, classnames)

    def class_inputs(self, model: TunedModel) -> Tensor:
        import torch

        index = {name: i for i, name in enumerate(model.trained)}
        rows = [index.get(name, -1) for name in model.classnames]
        return torch.tensor(rows, device=model.backbone.logit_scale.device)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
