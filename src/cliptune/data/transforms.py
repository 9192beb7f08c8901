"""Image and mask, transformed together, uint8 until the batch is normalised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import InterpolationMode

from cliptune.types import Picture

BICUBIC, NEAREST = InterpolationMode.BICUBIC, InterpolationMode.NEAREST
#: By how much "coop-2021" enlarges before it cuts.
ENLARGED = 1.125
#: Whether the installed Pillow resizes pictures that lose more height than width vertically first.
TALL_FIRST = int(PIL.__version__.split(".")[0]) >= 13


def evaluation(image: Image.Image, size: int, preset: str = "crop") -> Tensor:
    """Shorter edge to `size` (bicubic), centre crop -> uint8 `(3, size, size)`.

    By Pillow, as published numbers were made; tensors come out a grey level off (`resized`). preset: that of training
    (`PRESETS`); "coop-2021" has a view of its own, the picture squeezed to a square of which an eighth is cut away.
    """
    # torchvision's functions take pictures as well, which their annotations leave out.
    picture: Any = image.convert("RGB")
    if preset == "coop-2021":
        wide = int(ENLARGED * size)
        squeezed = F.resize(F.resize(picture, [size, size], BICUBIC), [wide, wide], BICUBIC)
        return F.pil_to_tensor(F.center_crop(squeezed, [size, size]))
    if picture.size != (size, size):
        picture = F.center_crop(F.resize(picture, [size], BICUBIC), [size, size])
    return F.pil_to_tensor(picture)


def to_square(image: Tensor, size: int) -> Tensor:
    """The whole picture squeezed to uint8 `(3, size, size)`, nothing cropped away (Grad-CAM wants to see all of it)."""
    return resized(image, size, size)


def shrunk(picture: Picture, shorter: int) -> Picture:
    """A picture whose shorter edge is at most `shorter`; 0 leaves it alone."""
    height, width = picture.image.shape[-2:]
    if not shorter or min(height, width) <= shorter:
        return picture
    size = int(shorter * height / min(height, width)), int(shorter * width / min(height, width))
    return Picture(resized(picture.image, *size), None if picture.mask is None else nearest(picture.mask, *size))


def resized(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """uint8 `(3, H, W)` -> `(3, height, width)`, antialiased: Pillow's `resize` in a quarter of its time.

    Both round and clip to bytes between the two ways, so the order of ways matters: it is the installed Pillow's. What
    is left is PyTorch's weights, of 15 bits against Pillow's 22: of a thousand values of photographs three are one grey
    level off, of a million one is two off, none is more.
    """
    rows, columns = image.shape[-2:]
    if (rows, columns) == (height, width):
        return image
    # Channels last in memory is what the kernel wants and decoders give.
    pixels = image[None].contiguous(memory_format=torch.channels_last)
    if TALL_FIRST and rows > height and rows - height > 2 * (columns - width):
        pixels = torch.nn.functional.interpolate(pixels, (height, columns), mode=mode, antialias=True)
    return torch.nn.functional.interpolate(pixels, (height, width), mode=mode, antialias=True)[0]


def by_pillow(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """`resized` by Pillow itself: to the bit what published codes saw, in four times the time."""
    picture = F.to_pil_image(image).resize((width, height), Image.Resampling[mode.upper()])
    return F.pil_to_tensor(picture)


def nearest(mask: Tensor, height: int, width: int) -> Tensor:
    """`(c, H, W)` -> `(c, height, width)` without values that were not there."""
    return F.resize(mask, [height, width], NEAREST)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 `(..., 3, H, W)` -> float32 with the model's mean and standard deviation."""
    mean_, std_ = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    # In place: at this size, fresh memory costs more than the arithmetic.
    scaled = torch.empty(images.shape, device=images.device).copy_(images).div_(255)
    return scaled.sub_(mean_).div_(std_)


class View(Protocol):
    """A training view of a picture."""

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        """A `size` x `size` view of image and mask, cut and turned alike."""
        ...


@dataclass(frozen=True)
class Augment:
    """RandomResizedCrop and horizontal flip, the training transform of CoOp since October 2021.

    scale: range of the cropped share of the area; (1, 1) squeezes the whole picture. flip: probability. exact: resize
    as Pillow does, to the bit (`by_pillow`).
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    exact: bool = False

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        """A `size` x `size` view of image (bicubic, antialiased) and mask (nearest), cut and turned alike."""
        image, mask = picture.image, picture.mask
        box = self.box(image.shape[-2], image.shape[-1], generator)
        image = (by_pillow if self.exact else resized)(F.crop(image, *box), self.size, self.size)
        mask = None if mask is None else nearest(F.crop(mask, *box), self.size, self.size)
        if generator.random() < self.flip:
            image, mask = image.flip(-1), None if mask is None else mask.flip(-1)
        return Picture(image, mask)

    def box(self, height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height, width: torchvision's rule, drawn from a generator that is passed instead of the global
        one."""
        if self.scale == (1.0, 1.0):
            return 0, 0, height, width
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(10):
            area = height * width * generator.uniform(*self.scale)
            aspect = math.exp(generator.uniform(low, high))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return int(generator.integers(0, height - h + 1)), int(generator.integers(0, width - w + 1)), h, w
        # Ten misses happen with very long pictures: the largest central box of an allowed aspect.
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True)
class Translate:
    """CoOp's training transform before October 2021: the whole picture squeezed to a square and flipped; half of the
    time enlarged by an eighth (bilinear) and cut at random; then enlarged by an eighth and cut at the centre. exact:
    that of `Augment`."""

    size: int
    exact: bool = False

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        size, wide = self.size, round(ENLARGED * self.size)
        flip, move = generator.random() < 0.5, generator.random() < 0.5
        top, left = (round(x * (wide - size)) for x in generator.random(2))

        def view(image: Tensor, bicubic: Callable[..., Tensor], bilinear: Callable[..., Tensor]) -> Tensor:
            image = bicubic(image, size, size)
            image = image.flip(-1) if flip else image
            if move:
                image = F.crop(bilinear(image, wide, wide), top, left, size, size)
            enlarged = int(ENLARGED * size)
            return F.center_crop(bicubic(image, enlarged, enlarged), [size, size]).contiguous()

        mask = None if picture.mask is None else view(picture.mask, nearest, nearest)
        resize = by_pillow if self.exact else resized
        return Picture(view(picture.image, resize, partial(resize, mode="bilinear")), mask)


#: Training views by name, for a size, and `exact`.
PRESETS: Mapping[str, Callable[..., View]] = {
    "crop": Augment,
    "flip": partial(Augment, scale=(1.0, 1.0)),
    "none": partial(Augment, scale=(1.0, 1.0), flip=0.0),
    "coop-2021": Translate,
}
