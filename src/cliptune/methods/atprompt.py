"""ATPrompt: attribute words with learned context in front of the prompts. Wraps methods with text context."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.attribute_text import with_attributes
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp
from cliptune.model.method import Method
from cliptune.model.wrapper import Wrapper

if TYPE_CHECKING:
    from torch import Generator, nn

    from cliptune.backbones.backbone import Backbone

#: Largest number of attributes.
MOST = 3
#: Standard deviation of the attributes' vectors at the start.
ATTRIBUTE_STD = 0.01


@dataclass(frozen=True)
class ATPrompt(Wrapper):
    """Attributes of the classes in every prompt, each behind learned vectors: "p p color p p shape v v cat.".

    Deep prompts replace the vectors before the class name; those of the attributes pass all layers.

    Li et al., Advancing Textual Prompt Learning with Anchored Attributes, ICCV 2025, https://arxiv.org/abs/2412.09442.
    Checked against ATPrompt 86980a1. Adds vectors per attribute to the parameters of `base`.
    """

    base: Method = field(default_factory=CoOp)
    """The wrapped method, with learned context in the text tower."""
    attributes: tuple[str, ...] = ("color", "shape")
    """One to three words or phrases."""
    n_ctx_attribute: int = 0
    """Vectors before each attribute; 0 for as many as the wrapped method has in its sentences."""
    compat: Literal["paper", "release"] = "paper"
    """Keep all tokens of an attribute, or place vectors as if it had one, as released: "p p play p p X v v X cat." with
    the attributes playfulness and energy."""
    nests = True

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "attributes", tuple(clean_words(words) for words in self.attributes))
        if not 1 <= len(self.attributes) <= MOST or "" in self.attributes:
            raise UserError(f"attributes must be 1 to {MOST} words or phrases, got {self.attributes}")
        checks.printable("attribute", self.attributes)
        checks.at_least(self, 0, "n_ctx_attribute")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        import torch

        from cliptune.prompts.attributes import AttributeContext

        base = self.base.learner(backbone, classnames, generator)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # the learner gives them
            sentence = self.base.class_prompts(backbone, classnames[:1], ("{}",))
        shape = self._vectors(sentence), backbone.text_width
        starts = [torch.randn(shape, generator=generator) * ATTRIBUTE_STD for _ in self.attributes]
        return AttributeContext(base, starts)

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        text = self.base.class_prompts(backbone, classnames, templates)
        n_ctx, cut = self._vectors(text), self.compat == "release"
        return with_attributes(backbone.prompt_tokenizer, text, self.attributes, n_ctx, cut=cut)

    def _vectors(self, text: TokenizedText) -> int:
        """Vectors before each attribute in front of the sentences `text` of `base`. Raises `UserError` if these have no
        learned context."""
        own = int((text.slots >= 0).sum(1).max())
        if not own or text.embeddings is not None:
            raise UserError(
                f"atprompt puts attributes before learned context in the sentences, and {type(self.base).__name__} has "
                f"none there; wrap a method that has, such as coop or maple"
            )
        context = text.slots[:, text.context_start : text.context_start + own]
        if self.compat == "release" and (context < 0).any():
            raise UserError(
                "atprompt with compat='release' needs the class name behind the learned context; set position=end"
            )
        return self.n_ctx_attribute or own
