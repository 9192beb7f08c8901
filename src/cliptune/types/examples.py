"""Images: before they are read, decoded, and in batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

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
