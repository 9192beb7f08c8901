"""MMRL++: MMRL with layers that share weights, a low-rank projection, and tokens that carry over between layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.methods.mmrl import Mmrl
from cliptune.prompts.initialization import init_linear, random_tokens

if TYPE_CHECKING:
    from torch import Generator, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class MmrlPlusPlus(Mmrl):
    """MMRL with a sixth of its parameters: the layers of a tower share one weight and differ by low-rank terms.

    Each layer mixes its tokens with what the layer before made of them.

    Guo and Gu, MMRL++: Parameter-Efficient and Interaction-Aware Representation Learning for Vision-Language Models,
    IJCV 2026, https://arxiv.org/abs/2505.10088. Checked against MMRL 27d8821.
    """

    beta: float = 0.9
    """Share of a layer's own tokens after the first of `layers`; the rest is the output of the layer before. The
    release chose one for each dataset on test images, see preset per_dataset, and one for each target of cross-dataset
    transfer."""
    rank: int = 4
    """Rank of the term that each layer adds to the shared weight."""
    projection_rank: int = 64
    """Rank of the term that is added to the image tower's projection for the tokens."""

    def __post_init__(self):
        super().__post_init__()
        checks.between(self, 0, 1, "beta")
        checks.at_least(self, 1, "rank", "projection_rank")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.representation_tokens import LowRankProjection, RepresentationTokens, SharedLinear

        layers = self.layers_of(backbone)
        table = random_tokens(self.n_ctx, self.table_width, generator)
        to_image, to_text = (
            SharedLinear(init_linear(self.table_width, own, generator), len(layers), self.rank, generator)
            for own in (backbone.image_width, backbone.text_width)
        )
        frozen = backbone.vit.proj
        assert frozen is not None  # as in every standard ViT
        projection = LowRankProjection(frozen, self.projection_rank, generator)
        return RepresentationTokens(table, layers, to_text, to_image, projection, self.beta)
