"""What the towers and the model return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cliptune.types.prompts import Prompts

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BlockFeatures:
    """Pooled tokens after each transformer block, un-normalised and of the tower's width.

    text: `(C, text_width)` per block, of the classes' prompts. image: `(B, image_width)` per block, of the view
    "image".
    """

    text: tuple[Tensor, ...] = ()
    image: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class ImageOutputs:
    """Outputs of the image tower for `b` images.

    Args:
        features: `(b, embed_dim)`, un-normalised.
        tokens: `(b, n, image_width)`, the learned tokens after the last block and its LayerNorm, not projected; None
            if they were not requested or there are none.
        patches: `(b, patches, embed_dim)`, projected like the class token, un-normalised; None if not requested.
        blocks: The class token `(b, image_width)` after each block, if requested.
        made: What the functions of `Prompts.image_made` return to read, in the order of the layers.
        frozen: Normalised features `(b, embed_dim)` by the backbone alone, if these functions needed them.
    """

    features: Tensor
    tokens: Tensor | None = None
    patches: Tensor | None = None
    blocks: tuple[Tensor, ...] = ()
    made: tuple[Tensor, ...] = ()
    frozen: Tensor | None = None


@dataclass(frozen=True)
class Outputs:
    """Outputs of a forward pass: L2-normalised features, logits, and what they were computed with.

    Args:
        image: View name -> features `(B, d)`; "image" is the image itself.
        text: Class features `(C, d)`, or `(B, C, d)` if prompts depend on the image.
        logit_scale: Scalar factor of the cosines.
        logits: `(B, C)` of the view "image", from `Method.logits`.
        prompts: The learner's output.
        extra_text: Features `(P, d)` of the method's extra prompts, or None.
        raw_image: View name -> features before normalisation, `(B, d)`.
        raw_text: Class features before normalisation, shaped as `text`; the mean over the texts of a class. None if
            they come from a teacher.
        texts: Normalised features `(n, d)` of each of the `n` texts of the classes, ordered by class, before they are
            averaged to `text` (without `Prompts.class_offset`); `(B, n, d)` if prompts depend on the image, None if
            class features come from a teacher.
        tokens: View name -> learned tokens `(B, n, image_width)` after the image tower, if `Method.needs_tokens`.
        patches: View name -> features of patches `(B, patches, d)`, un-normalised, if `Method.needs_patches`.
        frozen: View name -> normalised features `(B, d)` by the backbone alone, if `Method.needs_frozen`.
        made: View name -> `MadeTokens.read` of each layer with a function in `Prompts.image_made`.
        block_features: Pooled tokens after each block if they were requested, else None.
    """

    image: Mapping[str, Tensor]
    text: Tensor
    logit_scale: Tensor
    logits: Tensor
    prompts: Prompts
    extra_text: Tensor | None = None
    raw_image: Mapping[str, Tensor] = field(default_factory=dict)
    raw_text: Tensor | None = None
    texts: Tensor | None = None
    tokens: Mapping[str, Tensor] = field(default_factory=dict)
    patches: Mapping[str, Tensor] = field(default_factory=dict)
    frozen: Mapping[str, Tensor] = field(default_factory=dict)
    block_features: BlockFeatures | None = None
    made: Mapping[str, tuple[Tensor, ...]] = field(default_factory=dict)
