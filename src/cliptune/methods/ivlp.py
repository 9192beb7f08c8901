"""IVLP: independent prompt tokens in many layers of both towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words, tokenize_with_context
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import random_tokens, words_or_random
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class Ivlp(Method):
    """Independent tokens in the first layers of the text tower and of the image tower.

    Khattak et al., MaPLe: Multi-modal Prompt Learning, CVPR 2023, https://arxiv.org/abs/2210.03117, as independent
    vision-language prompting, after Rasheed et al., CVPR 2023, https://arxiv.org/abs/2212.03640.
    Checked against multimodal-prompt-learning 69bce21.
    """

    n_ctx_text: int = 2
    """Tokens per layer of the text tower. Words beyond them stay fixed before the name: "v1 v2 of a cat."."""
    depth_text: int = 12
    """Number of prompted layers of the text tower, including the input."""
    n_ctx_image: int = 2
    """Tokens per layer of the image tower; 0 prompts the text tower only, with any image tower."""
    depth_image: int = 12
    """Number of prompted layers of the image tower, including the input; 0 prompts the text tower only."""
    words: str = "a photo of a"
    """Words that initialise the tokens of the first text layer."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "n_ctx_text", "depth_text", hint="for image tokens alone use vpt")
        checks.at_least(self, 0, "n_ctx_image", "depth_image")

    def _words(self, backbone: Backbone) -> str:
        return words_or_random(self.words, self.n_ctx_text, len(backbone.prompt_tokenizer.word_ids(self.words)))

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.deep import DeepPrompts, check_depth

        check_depth(self.depth_text, backbone.text_depth, "text", backbone.name)
        width, words = backbone.text_width, self._words(backbone)
        text = [random_tokens(self.n_ctx_text, width, generator) for _ in range(self.depth_text)]
        if words:
            text[0] = backbone.embed_words(words, self.n_ctx_text)
        if not self.n_ctx_image or not self.depth_image:
            return DeepPrompts(text)  # works for image towers without token widths, such as ResNets
        check_depth(self.depth_image, backbone.image_depth, "image", backbone.name)
        width = backbone.image_width
        return DeepPrompts(text, [random_tokens(self.n_ctx_image, width, generator) for _ in range(self.depth_image)])

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_with_context(backbone.prompt_tokenizer, self._words(backbone), self.n_ctx_text, classnames)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
