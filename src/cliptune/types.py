"""Records shared by several packages, without logic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

#: What computes frozen linear layers: PyTorch's default, oneDNN on packed weights, or a choice by the processor.
LinearBackend = Literal["auto", "torch", "onednn"]
#: Linear layers of a transformer block: of its attention, and of its MLP.
LinearLayer = Literal["q", "k", "v", "o", "fc", "proj"]

#: Label of an image of an unlabelled pool.
NO_LABEL = -1


@dataclass(frozen=True)
class Example:
    """One labeled image, not yet read.

    Args:
        key: Unique within the dataset: the relative path of a file, or the name and the pose of a rendered image.
        label: Index into the class names of the dataset, or of the task after base/novel relabelling.
        path: The image file, or None.
        mask: The mask file that the dataset provides, or None.
        background: Name of the background of a rendered image.
        style: Name of the style of a rendered image.
        labels: All classes in the image, in order, of multi-label data; `label`, one of them, is then the class it was
            drawn for.
        weight: Factor of the example's loss in training; the images of a coreset represent others.
        boxes: Rectangles of the foreground, (left, top, right, bottom) each, in pixels of the upright image, or as
            shares of its sides if `shares`.
        shares: Whether `boxes` are shares of the image's sides.
    """

    key: str
    label: int
    path: Path | None = None
    mask: Path | None = None
    background: str | None = None
    style: str | None = None
    labels: tuple[int, ...] = ()
    weight: float = 1.0
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    shares: bool = False


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image: `image` uint8 `(3, H, W)`; `mask` uint8 `(1, H, W)`, 255 = foreground, or None."""

    image: Tensor
    mask: Tensor | None = None


class Masks(Protocol):
    """What an example set needs of a mask source (see `masks.source.MaskSource`)."""

    @property
    def changes(self) -> bool: ...

    @property
    def thresholds_views(self) -> bool: ...

    def mask(self, example: Example, image: DecodedImage, /) -> Tensor: ...

    def stored(self, example: Example, image: DecodedImage, /) -> Tensor: ...

    def foreground(self, numbers: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Batch:
    """A batch: normalised `images` `(B, 3, H, W)`, `labels` `(B,)`, `masks` `(B, 1, H, W)` in [0, 1] or None.

    `index` `(B,)` is the position of each example in its set. `targets` `(B, c)` of multi-label data are 1 for each
    class in the image and 0 otherwise, for the classes up to the last that occurs in the set. `weights` `(B,)` multiply
    the losses, if the examples differ in weight. `labelled` is False for images of an unlabelled pool, whose `labels`
    are `NO_LABEL`. `second_view` `(B, 3, H, W)` is an independently augmented view of each image, for methods that ask
    for it.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None = None
    index: Tensor | None = None
    targets: Tensor | None = None
    weights: Tensor | None = None
    labelled: bool = True
    second_view: Tensor | None = None


@dataclass(frozen=True)
class BlockFeatures:
    """Pooled tokens after each transformer block, un-normalised and of the tower's width.

    text: `(C, text_width)` per block, of the classes' prompts. image: `(B, image_width)` per block, of the view
    "image".
    """

    text: tuple[Tensor, ...] = ()
    image: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class KeyValues:
    """Prefix tokens of one layer: every query attends to them, but no output is computed for them.

    options: Alternatives, `(m, width)` each; m = 0 means no tokens. weights: `(len(options),)` with sum 1, which
    mix the attention outputs of the options; None for a single option.
    """

    options: tuple[Tensor, ...]
    weights: Tensor | None = None


@dataclass(frozen=True)
class LowRank:
    """A low-rank term of a linear layer: `x W.T + scale * dropout(x) down.T up.T` (LoRA).

    down: `(r, in)`. up: `(out, r)`. dropout: Applied to the input of the term in training, or None.
    """

    down: Tensor
    up: Tensor
    scale: float = 1.0
    dropout: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class BlockChange:
    """Changes of one transformer block.

    linear: Low-rank terms by the name of the layer: "q", "k", "v", "o" of the attention, "fc" and "proj" of the MLP.
    norm: Weight and bias `(width,)` that replace those of a LayerNorm, by its name: "ln_1" or "ln_2".
    branch: Maps the block's input `(..., width)` to a term that is added to its output, or None.
    """

    linear: Mapping[str, LowRank] = field(default_factory=dict)
    norm: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    branch: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class TowerChange:
    """Changes of a tower's weights.

    blocks: For blocks 0, 1, ...: the change, or None. norm: Weight and bias that replace those of a LayerNorm outside
    of the blocks, by its name: "ln_pre" or "ln_post" of the image tower, "ln_final" of the text tower.
    """

    blocks: tuple[BlockChange | None, ...] = ()
    norm: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


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

    @property
    def fixed_text(self) -> bool:
        """Whether nothing learned enters the text tower, so that its features never change."""
        tokens = self.text is not None or self.conditional is not None or any(self.text_kv)
        return not tokens and not self.text_deep and not self.text_inserted and self.text_change is None

    @property
    def fixed_image(self) -> bool:
        """Whether nothing learned enters the image tower."""
        return not self.image and not any(self.image_kv) and self.image_change is None


@dataclass(frozen=True)
class ImageOutputs:
    """Outputs of the image tower for `b` images.

    Args:
        features: `(b, embed_dim)`, un-normalised.
        tokens: `(b, n, image_width)`, the learned tokens after the last block and its LayerNorm, not projected; None
            if they were not requested or there are none.
        patches: `(b, patches, embed_dim)`, projected like the class token, un-normalised; None if not requested.
        blocks: The class token `(b, image_width)` after each block, if requested.
    """

    features: Tensor
    tokens: Tensor | None = None
    patches: Tensor | None = None
    blocks: tuple[Tensor, ...] = ()


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


@dataclass(frozen=True)
class TestSet:
    """Examples relabelled to index `classnames`.

    dataset: Reads the examples if they are not from the task's own dataset; `templates` are then its prompts, () for
        the task's.
    parts: Further metrics by name, over the examples of some labels, classified among all `classnames`.
    """

    __test__ = False  # not a pytest class

    examples: tuple[Example, ...]
    classnames: tuple[str, ...]
    dataset: Any = None
    templates: tuple[str, ...] = ()
    parts: Mapping[str, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task to train and test on: examples relabelled to index `classnames`, and named test sets.

    averaged: The test sets over which the papers' "average" is taken, () for no such metric.
    image_store: Decoded training images (`data.image_store.ImageStore`) if validation has read them.
    pool: Whether `train` is a pool of unlabelled images, whose labels are `NO_LABEL`.
    transductive: Whether `train` shows classes or data of which the test sets measure the transfer.
    chosen_on: Name of the test set whose accuracy chooses the epoch that is kept, as some released code does; "" for
        validation images, if any.
    """

    name: str
    dataset: Any
    train: tuple[Example, ...]
    val: tuple[Example, ...]
    tests: Mapping[str, TestSet]
    classnames: tuple[str, ...]
    seed: int
    averaged: tuple[str, ...] = ()
    image_store: Any = field(default=None, compare=False, repr=False)
    pool: bool = False
    transductive: bool = False
    chosen_on: str = ""


@dataclass
class State:
    """Progress of training: `epoch` of `epochs` and, within the epoch, `step` of `steps` are completed. `memory` is
    what the method's `prepare` returned."""

    epoch: int
    epochs: int
    memory: Any = None
    step: int = 0
    steps: int = 1


@dataclass(frozen=True)
class Result:
    """Result of one task: metrics at full precision, and the configuration and circumstances they come from."""

    task: str
    method: str
    data: str
    seed: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]
    cost: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Mapping[str, float], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
