"""CLIP-Adapter: a bottleneck adapter on the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import init_linear
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.adapters.bottleneck import BottleneckAdapter
    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class ClipAdapter(Method):
    """A two-layer bottleneck on image features, text features or both, mixed with the original feature.

    Gao et al., CLIP-Adapter: Better Vision-Language Models with Feature Adapters, IJCV 2023,
    https://arxiv.org/abs/2110.04544. Checked against CLIP-Adapter 9ac913a.
    """

    ratio: float = 0.2
    """Share of the adapted image feature (alpha in the paper); 0 leaves image features unchanged."""
    text_ratio: float = 0.0
    """Share of the adapted text feature (beta in the paper); 0 leaves text features unchanged."""
    reduction: int = 4
    """Ratio of the feature width to the bottleneck width."""
    compat: Literal["paper", "release"] = "paper"
    """Follow the paper, or the released code, which has a second ReLU after the bottleneck."""

    def __post_init__(self):
        checks.between(self, 0, 1, "ratio", "text_ratio")
        if self.ratio == self.text_ratio == 0:
            raise UserError("ratio and text_ratio are both 0, so nothing would be learned; increase one of them")
        checks.at_least(self, 1, "reduction")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.adapters.bottleneck import BottleneckAdapter, FeatureAdapters

        width = backbone.embed_dim
        if self.reduction > width:
            raise UserError(f"reduction={self.reduction} is more than the feature width {width}; decrease it")

        def bottleneck(ratio: float) -> BottleneckAdapter | None:
            if ratio == 0:
                return None
            hidden = width // self.reduction
            down, up = (init_linear(*sides, generator, bias=False) for sides in ((width, hidden), (hidden, width)))
            return BottleneckAdapter(down, up, ratio, final_relu=self.compat == "release")

        return FeatureAdapters(bottleneck(self.ratio), bottleneck(self.text_ratio))

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
