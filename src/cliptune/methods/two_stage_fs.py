"""2SFS: LayerNorms of both towers, then a classifier on the features that result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, Outputs, State, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.layer_norms import NormsAndClassifier
    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

#: LayerNorms of a block, and those of the towers outside of their blocks.
NORMS = ("ln_1", "ln_2")
OUTER_NORMS = {"text": ("ln_final",), "image": ("ln_pre", "ln_post")}


@dataclass(frozen=True)
class TwoStageFs(Method):
    """2SFS: first the LayerNorms of both towers are trained, then a classifier that starts at the tuned text features.

    Names that were not trained on get the features of the tuned text tower. Farina et al., Rethinking Few-Shot
    Adaptation of Vision-Language Models in Two Stages, CVPR 2025, https://arxiv.org/abs/2503.11609.
    Checked against rethinking_fewshot_vlms 64ac143.
    """

    norm_share: float = 0.6
    """Share of the steps or epochs that the first stage takes."""
    template: str = "a photo of a {}."
    """Template of the class prompts with one {}, as in the release for every dataset; "" takes the dataset's."""
    stage: Literal["norms", "classifier"] = "norms"
    """Stage to start with; classifier trains on the features of the backbone as it is."""
    compat: Literal["paper", "release"] = "paper"
    """Train all LayerNorms, or as the released code those inside the blocks alone."""

    def __post_init__(self):
        checks.positive(self, "norm_share")
        checks.require(self.norm_share < 1, "norm_share", self.norm_share, "below 1")
        checks.template("template", self.template or "{}")

    @property
    def share(self) -> float:  # type: ignore[override]
        return self.norm_share if self.stage == "norms" else 1 - self.norm_share

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.layer_norms import LayerNorms, NormsAndClassifier
        from cliptune.prompts.initialization import random_tokens

        outside = self.compat == "paper"
        norms = LayerNorms(layer_norms(backbone, "text", outside), layer_norms(backbone, "image", outside))
        if self.stage == "norms":
            return norms
        return NormsAndClassifier(norms, classnames, random_tokens(len(classnames), backbone.embed_dim, generator))

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_templates(backbone.prompt_tokenizer, [self.template or templates[0]], classnames)

    def text_features(self, model: TunedModel, extra: tuple[str, ...]) -> tuple[Tensor, Tensor | None] | None:
        if self.stage == "norms":
            return None
        learner, backbone = cast("NormsAndClassifier", model.learner), model.backbone
        trained = set(model.classnames) <= set(learner.classnames)
        text = None if trained else backbone.class_features(model.class_text.text, learner())
        more = backbone.class_features(backbone.tokenize(extra), learner()) if extra else None
        return learner.replaced(text, model.classnames), more

    def continue_from(self, model: TunedModel, before: TunedModel) -> None:
        cast("NormsAndClassifier", model.learner).norms.load_state_dict(before.learner.state_dict())

    def prepare(self, model: TunedModel, task: Task) -> None:
        import torch

        if self.stage == "classifier":
            learner = cast("NormsAndClassifier", model.learner)
            with torch.no_grad():
                learner.weight.copy_(model.backbone.class_features(model.class_text.text, learner()))

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}

    def next_stage(self, model: TunedModel) -> Method | None:
        return replace(self, stage="classifier") if self.stage == "norms" else None


def layer_norms(backbone: Backbone, tower: Literal["text", "image"], outside: bool) -> dict[str, nn.LayerNorm]:
    """The LayerNorms of a tower by name: "0.ln_1" in the first block; with `outside` also those outside of the blocks,
    such as "ln_final". Raises `UserError` if the tower accepts no learned tokens or changes."""
    from torch import nn

    found = {f"{i}.{name}": getattr(own.block, name) for i, own in enumerate(backbone.blocks(tower)) for name in NORMS}
    module = backbone.text if tower == "text" else backbone.visual
    if outside:
        found |= {name: getattr(module, name) for name in OUTER_NORMS[tower]}
    return {name: norm for name, norm in found.items() if isinstance(norm, nn.LayerNorm) and norm.bias is not None}
