"""MaPLe: text tokens in many layers, coupled to image tokens by linear layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words, tokenize_with_context
from cliptune.errors import UserError
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import random_tokens, words_or_random
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class Maple(Method):
    """Tokens in the first `depth` layers of the text tower, projected to the tokens of the image tower.

    Khattak et al., MaPLe: Multi-modal Prompt Learning, CVPR 2023, https://arxiv.org/abs/2210.03117.
    Checked against multimodal-prompt-learning 69bce21.
    """

    n_ctx: int = 2
    """Tokens per layer. Words beyond them stay fixed before the name: "v1 v2 of a cat."."""
    depth: int = 9
    """Number of prompted layers, including the input (J in the paper)."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first layer."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "n_ctx", "depth")

    def _words(self, backbone: Backbone) -> str:
        return words_or_random(self.words, self.n_ctx, len(backbone.prompt_tokenizer.word_ids(self.words)))

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.coupled import CoupledPrompts

        deepest = max(backbone.text_depth, backbone.image_depth)
        if self.depth > deepest:
            raise UserError(
                f"depth={self.depth} is more than the {deepest} layers of backbone {backbone.name!r}; lower it"
            )
        words = self._words(backbone)
        if words:
            first = backbone.embed_words(words, self.n_ctx)
        else:
            first = random_tokens(self.n_ctx, backbone.text_width, generator)
        return CoupledPrompts(
            first, self.depth, backbone.image_width, backbone.text_depth, backbone.image_depth, generator
        )

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_with_context(backbone.prompt_tokenizer, self._words(backbone), self.n_ctx, classnames)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
