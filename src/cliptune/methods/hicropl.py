"""HiCroPL: prompts of both towers that map to each other, and features added to those of the frozen model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune import checks
from cliptune.backbones.tokenized_text import TokenizedText, clean_words
from cliptune.errors import UserError
from cliptune.methods.ivlp import Ivlp
from cliptune.model.method import Method
from cliptune.objectives.classification import classification_loss
from cliptune.objectives.knowledge_guidance import text_distance_loss
from cliptune.prompts.initialization import random_tokens, words_or_random
from cliptune.types import Batch, Outputs, State

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from cliptune.backbones.backbone import Backbone
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True)
class HiCroPl(Method):
    """Text prompts mapped to the image tower in early layers, image prompts to the text tower in late ones.

    Zheng et al., Hierarchical Cross-modal Prompt Learning for Vision-Language Models, ICCV 2025,
    https://arxiv.org/abs/2507.14976. Checked against HiCroPL 2c2b2f2. Classifies by the sum of tuned and frozen image
    features, and the sum of tuned text features and those of sentences about the classes.
    """

    needs_frozen = True

    n_ctx: int = 16
    """Tokens per layer of each tower."""
    depth: int = 12
    """Number of prompted layers, including the input."""
    cross_layer: int = 6
    """Layers before this one map text to image, the others image to text."""
    words: str = ""
    """Words that initialise the tokens of the first text layer; they must have n_ctx tokens or more."""
    descriptions: str = ""
    """JSON file with an object: class name -> list of sentences. Case and underscores of names do not count."""
    weight: float = 12.0
    """Weight of the distances to the frozen features (lambda)."""
    mapper: bool = True
    """Whether tokens are mapped; without, both towers have independent tokens, as a control."""
    compat: Literal["paper", "release"] = "paper"
    """Train the mapping, or as the released code keep it at its random start and overwrite the tokens by the mapped
    ones at each forward pass, also in evaluation."""

    def __post_init__(self):
        object.__setattr__(self, "words", clean_words(self.words))
        checks.at_least(self, 1, "n_ctx", "depth", "cross_layer")
        checks.at_least(self, 0, "weight")

    def unused_fields(self) -> dict[str, str]:
        return {} if self.mapper else dict.fromkeys(("cross_layer", "compat"), "mapper is false")

    def learner(self, backbone: Backbone, classnames: Sequence[str], generator: Generator) -> nn.Module:
        from cliptune.prompts.deep import check_depth
        from cliptune.prompts.hierarchical import CrossMapping, HierarchicalPrompts

        if self.mapper and self.cross_layer >= self.depth:
            raise UserError(
                f"cross_layer must be less than depth={self.depth}, got {self.cross_layer}; lower it, or set mapper "
                f"to false"
            )
        check_depth(self.depth, backbone.text_depth, "text", backbone.name)
        check_depth(self.depth, backbone.image_depth, "image", backbone.name)
        widths = backbone.text_width, backbone.image_width
        text = [random_tokens(self.n_ctx, widths[0], generator) for _ in range(self.depth)]
        tokens = len(backbone.prompt_tokenizer.word_ids(self.words))
        if words := words_or_random(self.words, self.n_ctx, tokens):
            text[0] = backbone.embed_words(words, self.n_ctx)
        image = random_tokens(self.n_ctx, widths[1], generator)  # all layers start alike, as in the released code
        mapping = CrossMapping(self.cross_layer, self.depth, *widths, generator) if self.mapper else None
        return HierarchicalPrompts(text, [image] * self.depth, mapping, self.compat == "release")

    def class_prompts(self, backbone: Backbone, classnames: Sequence[str], templates: Sequence[str]) -> TokenizedText:
        return Ivlp(self.n_ctx, 1, 0, 0, self.words).class_prompts(backbone, classnames, templates)

    def class_inputs(self, model: TunedModel) -> Tensor:
        """Features `(C, d)` of the sentences about each class by the frozen model."""
        from cliptune.backbones.features import text_features
        from cliptune.model.descriptions import Descriptions

        read, tokenizer = Descriptions.read(self.descriptions), model.backbone.prompt_tokenizer
        text = read.tokenized(tokenizer, model.classnames, model.templates[0])
        return text_features(model.backbone.encode_text(text), text)

    def logits(self, out: Outputs, view: str = "image") -> Tensor:
        from cliptune.backbones.features import scaled_cosines

        image, text = _sums(out, view)
        return scaled_cosines(image, text, out.logit_scale, out.prompts.logit_bias)

    def losses(self, out: Outputs, batch: Batch, state: State) -> Mapping[str, Tensor]:
        image, text = _sums(out, "image")
        return {
            "ce": classification_loss(out.logits, batch),
            "text": self.weight * text_distance_loss(text, out.prompts.parts["descriptions"]),
            "image": self.weight * text_distance_loss(image, out.frozen["image"]),
        }


def _sums(out: Outputs, view: str) -> tuple[Tensor, Tensor]:
    """Normalised sums of tuned and frozen features: images `(b, d)`, classes `(C, d)`."""
    from cliptune.backbones.features import normalise

    return normalise(out.image[view] + out.frozen[view]), normalise(out.text + out.prompts.parts["descriptions"])
