"""Image and mask, transformed together, uint8 until the batch is normalised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import InterpolationMode

from cliptune.types import Picture

BICUBIC, BILINEAR, NEAREST = InterpolationMode.BICUBIC, InterpolationMode.BILINEAR, InterpolationMode.NEAREST
#: By how much "coop-2021" enlarges before it cuts.
ENLARGED = 1.125


def evaluation(image: Image.Image, size: int, preset: str = "crop") -> Tensor:
    """Shorter edge to `size` (bicubic), centre crop -> uint8 `(3, size, size)`.

    By Pillow, as published numbers were made; resizing tensors differs in the last grey level. preset: that of training
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
    return image if image.shape[-2:] == (size, size) else F.resize(image, [size, size], BICUBIC, antialias=True)


def shrunk(picture: Picture, shorter: int) -> Picture:
    """A picture whose shorter edge is at most `shorter`; 0 leaves it alone."""
    height, width = picture.image.shape[-2:]
    if not shorter or min(height, width) <= shorter:
        return picture
    image = F.resize(picture.image, [shorter], BICUBIC, antialias=True)
    return Picture(image, picture.mask if picture.mask is None else F.resize(picture.mask, [shorter], NEAREST))


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

    scale: range of the cropped share of the area; (1, 1) squeezes the whole picture. flip: probability.
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        """A `size` x `size` view of image (bicubic, antialiased) and mask (nearest), cut and turned alike."""
        image, mask = picture.image, picture.mask
        box = self.box(image.shape[-2], image.shape[-1], generator)
        if box != (0, 0, self.size, self.size) or tuple(image.shape[-2:]) != (self.size, self.size):
            image = cut(image, box, self.size)
            mask = None if mask is None else F.resized_crop(mask, *box, [self.size, self.size], NEAREST)
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
    time enlarged by an eighth (bilinear) and cut at random; then enlarged by an eighth and cut at the centre."""

    size: int

    def __call__(self, picture: Picture, generator: np.random.Generator) -> Picture:
        size, wide = self.size, round(ENLARGED * self.size)
        flip, move = generator.random() < 0.5, generator.random() < 0.5
        top, left = (round(x * (wide - size)) for x in generator.random(2))

        def view(image: Tensor, bicubic: InterpolationMode, bilinear: InterpolationMode) -> Tensor:
            image = F.resize(image, [size, size], bicubic)
            image = image.flip(-1) if flip else image
            if move:
                image = F.crop(F.resize(image, [wide, wide], bilinear), top, left, size, size)
            enlarged = [int(ENLARGED * size)] * 2
            return F.center_crop(F.resize(image, enlarged, bicubic), [size, size]).contiguous()

        mask = None if picture.mask is None else view(picture.mask, NEAREST, NEAREST)
        return Picture(view(picture.image, BICUBIC, BILINEAR), mask)


def cut(image: Tensor, box: tuple[int, int, int, int], size: int) -> Tensor:
    """A box of a uint8 picture `(3, H, W)`, resized to `(3, size, size)` (bicubic, antialiased) as torchvision's
    `resized_crop` does, but with channels last in memory, which the kernel wants and decoders give."""
    top, left, height, width = box
    part = image[None, :, top : top + height, left : left + width].contiguous(memory_format=torch.channels_last)
    return torch.nn.functional.interpolate(part, (size, size), mode="bicubic", antialias=True)[0]


#: Training views by name, for a size.
PRESETS: Mapping[str, Callable[[int], View]] = {
    "crop": Augment,
    "flip": partial(Augment, scale=(1.0, 1.0)),
    "none": partial(Augment, scale=(1.0, 1.0), flip=0.0),
    "coop-2021": Translate,
}
