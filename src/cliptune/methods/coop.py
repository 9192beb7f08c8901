"""CoOp: learned context vectors around the class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words, tokenize_with_context
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.prompts.initialization import random_tokens
from cliptune.types import Batch, Outputs, State
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone


@dataclass(frozen=True)
class CoOp(Method):
    """Context vectors at the text tower's input, shared by all classes or separate per class.

    Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022, https://arxiv.org/abs/2109.01134.
    Checked against CoOp ff61507.
    """

    n_ctx: int = 16
    """Number of context vectors (M in the paper)."""
    words: str = ""
    """Initialise from these words, one vector per word, instead of at random; "a photo of a" in base-to-novel."""
    position: Literal["end", "middle", "front"] = "end"
    """Position of the class name: after the vectors (end), between them (middle) or before them (front)."""
    class_specific: bool = False
    """A separate context per class (CSC), which accepts no new class names. Ignored with `words`, as in the released
    code."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "n_ctx")

    def unused_fields(self) -> dict[str, str]:
        if not self.words:
            return {}
        shared = {"class_specific": f"vectors that start from {self.words!r} are shared by all classes"}
        return self.unused_n_ctx() | shared

    def unused_n_ctx(self) -> dict[str, str]:
        """`n_ctx` with the reason if the number of words replaces it: `unused_fields` of methods with this context."""
        if self.n_ctx == self.length:
            return {}
        return {"n_ctx": f'{self.words!r} starts one vector per word; words="" starts n_ctx={self.n_ctx} at random'}

    @property
    def length(self) -> int:
        """Number of context vectors: the number of words if `words` is given."""
        return len(self.words.split()) if self.words else self.n_ctx

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        import torch

        from cliptune.prompts.context import TextContext

        width = backbone.text_width
        if self.words:
            tokens = len(backbone.prompt_tokenizer.word_ids(self.words))
            if tokens != self.length:
                warn_user(f"{self.words!r} is {self.length} words but {tokens} tokens: the last stay fixed")
            return TextContext(backbone.embed_words(self.words, self.length))
        if not self.class_specific:
            return TextContext(random_tokens(self.length, width, generator))
        return TextContext(torch.stack([random_tokens(self.length, width, generator) for _ in classnames]))

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return tokenize_with_context(backbone.prompt_tokenizer, self.words, self.length, classnames, self.position)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        return {"ce": classification_loss(out.logits, batch)}
