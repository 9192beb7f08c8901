"""VPT: prompt tokens in the image tower, fixed class prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, tokenize_templates
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import random_tokens
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class Vpt(Method):
    """Tokens in the first `depth` layers of the image tower: VPT-shallow for one layer, VPT-deep for more.

    Jia et al., Visual Prompt Tuning, ECCV 2022, https://arxiv.org/abs/2203.12119, for CLIP as the vision-only variant
    of Khattak et al., MaPLe, CVPR 2023, https://arxiv.org/abs/2210.03117.
    Checked against multimodal-prompt-learning 69bce21.
    """

    n_ctx: int = 8
    """Tokens per layer."""
    depth: int = 12
    """Number of prompted layers, including the input (J in MaPLe)."""
    template: str = ""
    """Template of the class prompts with one {}, instead of the dataset's; the released code and the published settings
    have "a photo of a {}." for every dataset."""

    def __post_init__(self):
        checks.at_least(self, 1, "n_ctx", "depth")
        checks.template("template", self.template or "{}")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.deep import DeepPrompts, check_depth

        check_depth(self.depth, backbone.image_depth, "image", backbone.name)
        width = backbone.image_width
        return DeepPrompts(image=[random_tokens(self.n_ctx, width, generator) for _ in range(self.depth)])

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_templates(backbone.prompt_tokenizer, [self.template or templates[0]], classnames)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
