"""MMRL: tokens from a shared table in the upper layers of both towers, read out as a second image feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.features import normalise, scaled_cosines
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.knowledge_guidance import text_distance_loss
from cliptune.prompts.initialization import init_linear, random_tokens
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.backbones.teacher import Teacher
    from cliptune.model.tuned_model import TunedModel

#: Factor of the cosines in the released code.
RELEASED_SCALE = 100.0


@dataclass(frozen=True)
class Mmrl(Method):
    """Tokens of both towers from one table; their mean after the image tower classifies beside the class token.

    Both logits are mixed if all classes to choose from were in training. Other lists of classes get those of the class
    token alone, which stays closer to the frozen CLIP.

    Guo and Gu, MMRL: Multi-Modal Representation Learning for Vision-Language Models, CVPR 2025,
    https://arxiv.org/abs/2503.08497. Checked against MMRL 27d8821.
    """

    needs_tokens = True

    n_ctx: int = 5
    """Tokens per layer (K in the paper)."""
    table_width: int = 512
    """Width of the table's tokens (d_r in the paper)."""
    layers: tuple[int, ...] = ()
    """Layers of both towers that take tokens of their own, counted from 1; by default those from the middle to the last
    of the shorter tower: 6 to 12 of 12."""
    alpha: float = 0.7
    """Share of the class token in the loss and in the mixed logits; the rest is that of the tokens."""
    weight: float = 1.0
    """Weight of the distances of image features and of class features from those of the frozen CLIP (lambda in the
    paper). The release chose one for each dataset on test images, see preset per_dataset."""
    compat: Literal["paper", "release"] = "paper"
    """Scale cosines by the backbone's factor and mix logits for trained class names; or, as released, scale them by 100
    and use the class token alone on all other datasets, also those with trained class names, such as the variants of
    ImageNet."""

    def __post_init__(self):
        checks.at_least(self, 1, "n_ctx", "table_width", "layers")
        ascending = all(a < b for a, b in zip(self.layers, self.layers[1:], strict=False))
        checks.require(ascending, "layers", self.layers, "ascending")
        checks.between(self, 0, 1, "alpha")
        checks.at_least(self, 0, "weight")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        import torch

        from cliptune.prompts.representation_tokens import RepresentationTokens, SeparateLinear, TokenProjection

        layers, width = self.layers_of(backbone), backbone.image_width
        table = random_tokens(self.n_ctx, self.table_width, generator)
        to_image, to_text = (
            SeparateLinear(init_linear(self.table_width, own, generator), len(layers))
            for own in (width, backbone.text_width)
        )
        weight = torch.randn(width, backbone.embed_dim, generator=generator) * width**-0.5
        return RepresentationTokens(table, layers, to_text, to_image, TokenProjection(weight))

    def layers_of(self, backbone: Backbone) -> tuple[int, ...]:
        """`layers` counted from 0. Raises `UserError` if a tower has fewer."""
        depth = min(backbone.image_depth, backbone.text_depth)
        layers = self.layers or tuple(range(max(1, depth // 2), depth + 1))
        if layers[-1] > depth:
            raise UserError(
                f"layers={layers} has layers beyond the {depth} of the shorter tower of backbone {backbone.name!r}; "
                f"choose among 1 to {depth}"
            )
        return tuple(layer - 1 for layer in layers)

    def branch_logits(self, out: Outputs, view: str = "image") -> tuple[Tensor, Tensor | None]:
        """Logits `(b, C)` of a view by its class token, and by its tokens; None if these are not known."""
        from cliptune.prompts.representation_tokens import PROJECTION

        scale, bias = out.logit_scale, out.prompts.logit_bias
        if self.compat == "release":
            scale = scale.new_tensor(RELEASED_SCALE)
        own = scaled_cosines(out.image[view], out.text, scale, bias)
        tokens = out.tokens.get(view)
        if tokens is None:
            return own, None
        feature = normalise(out.prompts.parts[PROJECTION](tokens))
        if not out.image[view].requires_grad:  # a view without a gradient has none through the projection either
            feature = feature.detach()
        return own, scaled_cosines(feature, out.text, scale, bias)

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        own, read = self.branch_logits(out, view)
        prompts = out.prompts
        mixed = prompts.known and not prompts.novel and not (self.compat == "release" and prompts.other_data)
        return own if read is None or not mixed else self.alpha * own + (1 - self.alpha) * read

    def prepare(self, model: TunedModel, task: Task) -> Teacher:
        from cliptune.backbones.teacher import Teacher

        return Teacher.of(model.backbone, model.classnames, model.templates[:1])

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        import torch

        teacher: Teacher = state.memory
        own, read = self.branch_logits(out)
        assert read is not None
        # Columns that a wrapper adds are of texts, with which the class token alone is compared.
        own = torch.cat([own, out.logits[:, own.shape[1] :]], 1)
        ce = self.alpha * classification_loss(own, batch) + (1 - self.alpha) * classification_loss(read, batch)
        return {
            "ce": ce,
            "image": self.weight * text_distance_loss(out.image["image"], teacher.image(batch.images)),
            "text": self.weight * text_distance_loss(out.text, teacher.text),
        }
