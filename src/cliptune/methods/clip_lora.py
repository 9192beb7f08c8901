"""CLIP-LoRA: low-rank terms of the attention's projections in both towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch, LinearLayer, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel

Position = Literal["all", "bottom", "mid", "up", "half-bottom", "half-up", "top3"]


@dataclass(frozen=True)
class ClipLora(Method):
    """Low-rank terms of weights, trained with cross-entropy and merged into the weights for testing.

    Zanella and Ben Ayed, Low-Rank Few-Shot Adaptation of Vision-Language Models, CVPRW 2024,
    https://arxiv.org/abs/2405.18541. Checked against CLIP-LoRA 358f0d7, whose gradients without dropout differ: there,
    the layers before a changed one learn as if it had no term.
    """

    rank: int = 2
    """Rank of the terms."""
    alpha: float = 1.0
    """Factor of the terms, which is divided by the square root of the rank."""
    dropout: float = 0.25
    """Probability of dropping an entry of the input of a term in training."""
    params: tuple[LinearLayer, ...] = ("q", "k", "v")
    """Changed layers of a block: q, k, v and o of the attention, fc and proj of the MLP."""
    encoder: Literal["both", "text", "image"] = "both"
    """Changed towers."""
    position: Position = "all"
    """Changed blocks of each tower: all, a third (bottom, mid, up), a half, or the last three."""
    template: str = "a photo of a {}."
    """Template of the class prompts with one {}, as in the release for every dataset; "" takes the dataset's."""
    logit_scale: float = 0.0
    """Factor of the cosines; 0 takes the backbone's, which is the 100 of the release for OpenAI's weights."""

    def __post_init__(self):
        checks.at_least(self, 1, "rank")
        checks.positive(self, "alpha")
        checks.at_least(self, 0, "dropout", "logit_scale")
        checks.require(self.dropout < 1, "dropout", self.dropout, "below 1")
        checks.not_empty(self, "params")
        checks.no_duplicates(self, "params")
        checks.template("template", self.template or "{}")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.low_rank import LowRankTerms, Shapes
        from cliptune.backbones.changed_block import layer_shape

        def shapes(tower: Literal["text", "image"]) -> Shapes:
            if self.encoder not in ("both", tower):
                return {}
            blocks = backbone.blocks(tower)
            chosen = block_range(self.position, len(blocks))
            if not chosen:
                raise UserError(
                    f"position={self.position} takes none of the {len(blocks)} blocks in the {tower} tower of backbone "
                    f"{backbone.name!r}; use all"
                )
            return {i: {name: layer_shape(blocks[i], name) for name in self.params} for i in chosen}

        scale = self.alpha / self.rank**0.5
        return LowRankTerms(shapes("text"), shapes("image"), self.rank, scale, self.dropout, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_templates(backbone.prompt_tokenizer, [self.template or templates[0]], classnames)

    def before_step(self, model: TunedModel, state: State) -> None:
        from cliptune.adapters.low_rank import LowRankTerms

        for module in model.learner.modules():  # a wrapper's learner may contain it
            if isinstance(module, LowRankTerms):
                module.step = state.epoch * state.steps + state.step

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        import torch

        if self.logit_scale:
            out = replace(out, logit_scale=torch.full_like(out.logit_scale, self.logit_scale))
        return super().logits(out, view)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}


def block_range(position: Position, blocks: int) -> range:
    """The blocks that `position` names in a tower of `blocks`."""
    third, half = blocks // 3, blocks // 2
    return {
        "all": range(blocks),
        "bottom": range(third),
        "mid": range(third, 2 * third),
        "up": range(2 * third, blocks),
        "half-bottom": range(half),
        "half-up": range(half, blocks),
        "top3": range(max(0, blocks - 3), blocks),
    }[position]
