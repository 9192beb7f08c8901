"""DPT: context vectors, deep image tokens, and image tokens made from the features of likely classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.features import scaled_cosines
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.objectives.class_tokens import class_token_loss
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import random_tokens
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

#: Weight of the plain cross-entropy during guidance, in the released code.
GUIDED_WEIGHT = 0.1


@dataclass(frozen=True)
class Dpt(Method):
    """CoOp's context, image tokens in the lower layers, and class-aware tokens in the upper layers of the image tower.

    The frozen model ranks the classes for each image; the class-aware tokens come from the tuned features of the first.
    For other class names, the same layers make them from the features of these names.

    Xing et al., Dual Modality Prompt Tuning for Vision-Language Pre-Trained Model, IEEE TMM 2023,
    https://arxiv.org/abs/2208.08340. Checked against DPT d6d5600 by reading; no recorded numbers of it exist.
    From the paper: context and image tokens train together, and class-aware tokens come from an attention of class
    features to the patches. From the release: the attention's layers and widths, the choice of classes, the losses and
    the guidance. Not reproduced: its separate warm-up of both towers, and NaN if no image of a batch has its class
    among the chosen ones. The true class is not added to the chosen ones, as in the release.
    """

    needs_frozen = True

    n_ctx: int = 16
    """Number of context vectors; the number of words if `words` is given."""
    words: str = ""
    """Initialise from these words, one vector per word, instead of at random."""
    n_ctx_image: int = 10
    """Tokens per layer of the image tower below the class-aware layers; 0 for none."""
    class_layers: int = 1
    """Number of class-aware layers, the last of the image tower."""
    classes: int = 10
    """Number of classes per image from which tokens are made (K_N in the paper); all if there are fewer."""
    alpha: float = 0.3
    """Weight of the cross-entropy of the class-aware tokens."""
    guidance: float = 0.5
    """Share of the epochs, the first, in which each tower is trained against the frozen features of the other; a single
    epoch is divided by its steps."""
    text_rate: float = 0.2
    """Factor of the learning rate for the context vectors: 0.002 for them and 0.01 for the rest, as released."""
    template: str = ""
    """Template of the frozen class features, with one {}; by default the dataset's first."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "class_layers", "classes")
        checks.at_least(self, 0, "n_ctx_image", "alpha", "text_rate")
        checks.between(self, 0, 1, "guidance")
        checks.template("template", self.template or "{}")
        self.coop()  # validates the fields

    def coop(self) -> CoOp:
        """CoOp with the same context."""
        return CoOp(self.n_ctx, self.words)

    def unused_fields(self) -> dict[str, str]:
        return self.coop().unused_n_ctx()

    def rates(self) -> Mapping[str, float]:
        return {"text": self.text_rate}

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.class_aware_image import ClassAwareLayer, DualPrompts

        width, depth = backbone.image_width, backbone.image_depth
        if self.class_layers > depth:
            raise UserError(
                f"class_layers={self.class_layers} is more than the {depth} layers of the image tower of "
                f"{backbone.name!r}; decrease it"
            )
        text = self.coop().learner(backbone, classnames, generator)().text.detach()
        below = depth - self.class_layers if self.n_ctx_image else 0
        image = [random_tokens(self.n_ctx_image, width, generator) for _ in range(below)]
        sizes = width, backbone.embed_dim, len(classnames), generator
        layers = [ClassAwareLayer(*sizes) for _ in range(self.class_layers)]
        return DualPrompts(text, image, layers, depth - self.class_layers, self.classes)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.coop().class_prompts(backbone, classnames, templates)

    def class_inputs(self, model: TunedModel) -> Tensor:
        from cliptune.backbones.teacher import Teacher

        return Teacher.of(model.backbone, model.classnames, [self.template or model.templates[0]]).text

    def prepare(self, model: TunedModel, task: Task) -> Tensor:
        return self.class_inputs(model)

    def guided(self, state: State) -> bool:
        """Whether each tower is trained against the frozen features of the other."""
        done, whole = (state.epoch, state.epochs) if state.epochs > 1 else (state.step, state.steps)
        return done < self.guidance * whole

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        import torch

        from cliptune.prompts.class_aware_image import LAYERS, top_classes

        frozen_image, frozen_text = out.frozen["image"], state.memory
        ce = classification_loss(out.logits, batch)
        losses = {"ce": ce}
        if self.guided(state):
            scale, bias = out.logit_scale, out.prompts.logit_bias
            by_text = scaled_cosines(frozen_image, out.text, scale, bias)
            by_image = scaled_cosines(out.image["image"], frozen_text, scale, bias)
            losses = {
                "guided": GUIDED_WEIGHT * ce,
                "text": classification_loss(by_text, batch),
                "image": classification_loss(by_image, batch),
            }
        pairs = zip(out.prompts.parts[LAYERS], out.made["image"], strict=True)
        logits = torch.stack([layer.classifier(read) for layer, read in pairs], 1).float()
        chosen = top_classes(frozen_image, frozen_text, self.classes)
        return losses | {"class_tokens": self.alpha * class_token_loss(logits, chosen, batch)}
