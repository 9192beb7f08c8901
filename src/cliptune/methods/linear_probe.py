"""Linear probe: logistic regression on CLIP's image features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.linear_head import LinearHead
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class LinearProbe(Method):
    """A weight vector and a bias per class on normalised image features; accepts no new class names.

    The baseline of Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
    https://arxiv.org/abs/2103.00020, and of every paper since. Checked against its definition: the authors use
    L-BFGS, whereas here it is trained like all methods.
    """

    start: Literal["zero", "text"] = "zero"
    """Initialise weights at zero, so that no prompts are used, or at the classes' text features, so that training
    starts from zero-shot CLIP."""

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.linear_head import LinearHead

        return LinearHead(len(classnames), backbone.embed_dim)

    def prepare(self, model: TunedModel, task: Task) -> None:
        import torch

        if self.start == "text":
            learner, bias = cast("LinearHead", model.learner), model.backbone.logit_bias
            with torch.no_grad():
                learner.weight.copy_(model.backbone.logit_scale * model.encode_classes()[0])
                if bias is not None:
                    learner.bias.copy_(bias.expand_as(learner.bias))

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
