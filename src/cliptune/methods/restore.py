"""RESTORE: MaPLe's prompts with a feature-shift consistency loss, and surgery blocks on the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words, underscores_to_spaces
from cliptune.methods.maple import Maple
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.feature_shift import gram_norms, relative_shifts, shift_inconsistency
from cliptune.prompts.initialization import init_linear
from cliptune.types import Batch, Outputs, Prompts, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.surgery import SurgeryLearner
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

#: Ratio of the hidden width of a surgery block to the feature width.
SURGERY_EXPANSION = 4


@dataclass(frozen=True)
class Restore(Method):
    """MaPLe's prompts with a penalty on different feature shifts of the towers, and a surgery block on each feature.

    Yang et al., RESTORE: Towards Feature Shift for Vision-Language Prompt Learning, 2024,
    https://arxiv.org/abs/2403.06136. Checked against RESTORE_ 4c64a17.
    """

    n_ctx: int = 2
    """Tokens per layer."""
    depth: int = 9
    """Number of prompted layers, including the input."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first layer."""
    text_ratio: float = 0.1
    """Initial ratio of the surgery block on text features (r_t)."""
    image_ratio: float = 0.1
    """Initial ratio of the surgery block on image features (r_v)."""
    text_growth: float = 0.02
    """Increase of the text ratio per unit of the deep text tokens' mean norm, applied once, a third into training."""
    image_growth: float = 0.005
    """The same for the image ratio."""
    shift: Literal["features", "norms"] = "features"
    """Measure of a tower's shift. features: the change of its embeddings after each prompted block, as the paper
    defines it; one more pass of the frozen image tower per step. norms: the norms of the deep tokens relative to their
    start, as in the released code, for which the published settings were chosen; this penalty grows with the fourth
    power of the tokens, so narrow towers need a low lr."""
    shift_weight: float = 1.0
    """Weight of the feature-shift consistency (lambda_fs)."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        _ = self.maple  # validates the fields
        checks.without_braces("words", self.words)
        checks.between(self, 0, 1, "text_ratio", "image_ratio")
        checks.at_least(self, 0, "text_growth", "image_growth", "shift_weight")

    @property
    def maple(self) -> Maple:
        """MaPLe with the same prompts."""
        return Maple(self.n_ctx, self.depth, self.words)

    @property
    def needs_block_features(self) -> bool:  # type: ignore[override]
        return self.shift == "features" and self.shift_weight > 0

    def unused_fields(self) -> dict[str, str]:
        return {} if self.shift_weight else {"shift": "shift_weight is 0"}

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.surgery import Surgery, SurgeryLearner

        prompts = self.maple.learner(backbone, classnames, generator)
        width, inner = backbone.embed_dim, SURGERY_EXPANSION * backbone.embed_dim
        text, image = (
            Surgery(init_linear(width, inner, generator), init_linear(inner, width, generator), ratio)
            for ratio in (self.text_ratio, self.image_ratio)
        )
        return SurgeryLearner(prompts, text, image, len(deep_tokens(prompts())[0]))

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.maple.class_prompts(backbone, classnames, templates)

    def prepare(self, model: TunedModel, task: Task) -> ShiftReference:
        import torch

        learner = surgery_learner(model)
        blocks: tuple[Tensor, ...] = ()
        with torch.no_grad():
            if not learner.text_norms.any():  # a trained learner has its reference already
                for norms, tokens in zip(
                    (learner.text_norms, learner.image_norms), deep_tokens(learner()), strict=True
                ):
                    norms.copy_(gram_norms(tokens))
            if self.needs_block_features:
                texts = [f"{self.words} {underscores_to_spaces(name)}.".lstrip() for name in model.classnames]
                _, blocks = model.backbone.encode_text_with_block_features(model.backbone.tokenize(texts))
        return ShiftReference(learner, model.backbone, blocks)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        losses = {"ce": classification_loss(out.logits, batch)}
        reference: ShiftReference = state.memory
        if self.needs_block_features:
            text, image = reference.feature_shifts(out, batch.images)
            losses["shift"] = self.shift_weight * shift_inconsistency(text, image)
        elif self.shift_weight and len(reference.learner.text_norms):  # the norms of the first layer do not count
            text, image = reference.norm_shifts(out.prompts)
            losses["shift"] = self.shift_weight * shift_inconsistency(text, image)
        return losses

    def after_epoch(self, model: TunedModel, state: State) -> None:
        import torch

        learner = surgery_learner(model)
        with torch.no_grad():
            text, image = deep_tokens(learner())
            if state.epoch == state.epochs // 3 and text:
                learner.text.ratio += self.text_growth * gram_norms(text).mean()
                learner.image.ratio += self.image_growth * gram_norms(image).mean()


@dataclass(frozen=True)
class ShiftReference:
    """The reference of feature shifts: norms stored by the learner, and the pooled tokens of the frozen model.

    text: `(C, text_width)` per block, the frozen text tower's pooled tokens of the classes; () for `shift="norms"`.
    """

    learner: SurgeryLearner
    backbone: Backbone
    text: Sequence[Tensor]

    def norm_shifts(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Norms of each tower's deep tokens relative to their start, `(layers,)` each, as in the released code."""
        text, image = map(gram_norms, deep_tokens(prompts))
        return text / self.learner.text_norms, image / self.learner.image_norms

    def feature_shifts(self, out: Outputs, images: Tensor) -> tuple[Tensor, Tensor]:
        """Shift of each tower after each block that has prompts in both towers, `(blocks,)` each.

        The paper's definition: how much prompts change the embedding of each class's text and of each image
        `(b, 3, H, W)`. Embeddings are the pooled tokens, and changes are relative to the frozen model's. The released
        code has no such term to compare with.
        """
        import torch

        assert out.block_features is not None
        layers = min(1 + len(out.prompts.text_deep), len(out.prompts.image))
        with torch.no_grad():
            frozen = self.backbone.encode_image_parts(images, blocks=True).blocks
        text, image = out.block_features.text[:layers], out.block_features.image[:layers]
        return relative_shifts(text, self.text[:layers]), relative_shifts(image, frozen[:layers])


def deep_tokens(prompts: Prompts) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Text and image tokens of the layers after the first that both towers have."""
    layers = zip(prompts.text_deep, prompts.image[1:], strict=False)
    both = [(text, image) for text, image in layers if text is not None and image is not None]
    return tuple(text for text, _ in both), tuple(image for _, image in both)


def surgery_learner(model: TunedModel) -> SurgeryLearner:
    """The model's learner."""
    from cliptune.adapters.surgery import SurgeryLearner

    assert isinstance(model.learner, SurgeryLearner)
    return model.learner
