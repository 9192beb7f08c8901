"""What a learner returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cliptune.types.towers import TowerChange

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class KeyValues:
    """Prefix tokens of one layer: every query attends to them, but no output is computed for them.

    options: Alternatives, `(m, width)` each; m = 0 means no tokens. weights: `(len(options),)` with sum 1, which
    mix the attention outputs of the options; None for a single option.
    """

    options: tuple[Tensor, ...]
    weights: Tensor | None = None


@dataclass(frozen=True)
class ImageContext:
    """What functions of `Prompts.image_made` may use besides the tokens of a layer.

    classes: Features `(C, d)` of the model's classes with the prompts, un-normalised. frozen: Normalised features
    `(b, d)` of the images by the backbone alone.
    """

    classes: Tensor
    frozen: Tensor


@dataclass(frozen=True)
class MadeTokens:
    """Tokens `(b, m, image_width)` that a function of `Prompts.image_made` returns, and `read` `(b, ...)`, what losses
    use of their computation (`Outputs.made`)."""

    tokens: Tensor
    read: Tensor


@dataclass(frozen=True)
class Prompts:
    """What a learner returns: tokens for the towers, changes of their weights, adapters of their features, and a head.
    Every part is optional.

    Args:
        text: Context vectors of layer 0, `(n_ctx, width)` shared or `(n_classes, n_ctx, width)` per class. The slots of
            `TokenizedText` say which vector is at a position, so texts of a class may use different ones.
        text_deep: For layers 1, 2, ...: `(n, width)` shared or `(n_classes, n, width)` per class, replacing the tokens
            from `TokenizedText.context_start` on at the input of that layer; None leaves them.
        image: For layers 0, 1, ...: `(n, image_width)`, appended after the patches at the first layer that has some,
            then replaced at each layer's input; None passes on what the layer before made of them.
        image_made: For layers 0, 1, ...: a function of the class token and patches `(b, 1 + patches, image_width)` at
            the input of that layer and of `image_context`, which returns tokens that the others attend to in this
            block and that no other block sees; or None.
        image_context: What these functions get as well; set by the model, not by the learner.
        conditional: Maps normalised image features `(b, d)` to a context per image `(b, n_ctx, width)`, used instead
            of `text`.
        text_kv: For layers 0, 1, ...: prefix tokens for keys and values, or None.
        image_kv: The same in the image tower.
        adapt_text: Maps text features `(n, d)` before they are normalised.
        adapt_image: Maps image features `(n, d)` before they are normalised.
        logit_bias: Added to scaled cosines; set for backbones that were trained with a sigmoid (SigLIP).
        head: Maps (features `(b, d)`, logits `(b, C)`, classnames=the `C` names) to the final logits.
        per_class: Whether parameters belong to single class names, so that the model accepts no others.
        novel: Whether the class names differ from those of training; set by the model, not by the learner.
        text_inserted: For layers 0, 1, ...: `(n, width)`, inserted before the first word at the first layer that has
            some, then replaced at each layer's input; None passes on what the layer before made of them. They have no
            positional embedding.
        mix: Share of a layer's own tokens in `image` and `text_inserted` after the first layer that has some; the rest
            is the output of the layer before.
        input_norm: Whether the image tower's first LayerNorm acts on `image` tokens of layer 0, as on patches.
        image_change: Changes of the image tower's weights, or None.
        text_change: Changes of the text tower's weights, or None.
        share_prefix: Whether tokens that all texts share at the front may be computed once, which dropout in the text
            tower does not allow.
        parts: Modules and tensors that `Method.logits` and `Method.losses` use, by name; the model itself does not.
        classnames: The names of the classes; set by the model, not by the learner.
        class_offset: `(C, d)`, added to the mean un-normalised features of each class's texts, not to those of extra
            prompts.
        lasting: Whether another call of the learner gives the same, so that evaluation keeps class features.
        known: Whether all of these were in training; set by the model.
        other_data: Whether the images are of another dataset than those of training; set by the model.
    """

    text: Tensor | None = None
    text_deep: tuple[Tensor | None, ...] = ()
    image: tuple[Tensor | None, ...] = ()
    conditional: Callable[[Tensor], Tensor] | None = None
    text_kv: tuple[KeyValues | None, ...] = ()
    image_kv: tuple[KeyValues | None, ...] = ()
    adapt_text: Callable[[Tensor], Tensor] | None = None
    adapt_image: Callable[[Tensor], Tensor] | None = None
    logit_bias: Tensor | None = None
    head: Callable[..., Tensor] | None = None
    per_class: bool = False
    novel: bool = False
    text_inserted: tuple[Tensor | None, ...] = ()
    mix: float = 1.0
    input_norm: bool = True
    text_change: TowerChange | None = None
    image_change: TowerChange | None = None
    share_prefix: bool = True
    parts: Mapping[str, Any] = field(default_factory=dict)
    classnames: tuple[str, ...] = ()
    class_offset: Tensor | None = None
    lasting: bool = True
    known: bool = True
    other_data: bool = False
    image_made: tuple[Callable[[Tensor, ImageContext], MadeTokens] | None, ...] = ()
    image_context: ImageContext | None = None

    @property
    def fixed_text(self) -> bool:
        """Whether nothing learned enters the text tower, so that its features never change."""
        tokens = self.text is not None or self.conditional is not None
        return not tokens and self.fixed_other_text and not self.text_deep

    @property
    def fixed_other_text(self) -> bool:
        """Whether nothing learned enters the text tower with texts that belong to no class and have no slots for
        `text`, such as those of `Method.extra_prompts`."""
        deep = any(own is not None and own.ndim == 2 for own in self.text_deep)
        return not deep and not any(self.text_kv) and not self.text_inserted and self.text_change is None

    @property
    def fixed_image(self) -> bool:
        """Whether nothing learned enters the image tower."""
        tokens = bool(self.image) or any(self.image_kv) or any(self.image_made)
        return not tokens and self.image_change is None
