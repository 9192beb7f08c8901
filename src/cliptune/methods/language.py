"""Deep language prompting: prompt tokens in many layers of the text tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.methods.ivlp import Ivlp
from cliptune.model.method import Method
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class Language(Method):
    """Tokens in the first `depth` layers of the text tower; works with any image tower.

    Khattak et al., MaPLe: Multi-modal Prompt Learning, CVPR 2023, https://arxiv.org/abs/2210.03117, as deep language
    prompting: IVLP without its image tokens. Checked against multimodal-prompt-learning 69bce21.
    """

    n_ctx: int = 4
    """Tokens per layer. Words beyond them stay fixed before the name."""
    depth: int = 12
    """Number of prompted layers, including the input."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first layer."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "n_ctx", "depth")

    @property
    def ivlp(self) -> Ivlp:
        """IVLP with the same prompts."""
        return Ivlp(self.n_ctx, self.depth, 0, 0, self.words)

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        return self.ivlp.learner(backbone, classnames, generator)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return self.ivlp.class_prompts(backbone, classnames, templates)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return self.ivlp.losses(out, batch, state)
