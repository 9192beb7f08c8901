"""Image and mask, transformed together, uint8 until the batch is normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import InterpolationMode

from cliptune.types import Picture

BICUBIC, NEAREST = InterpolationMode.BICUBIC, InterpolationMode.NEAREST


def evaluation(image: Image.Image, size: int) -> Tensor:
    """Shorter edge to `size` (bicubic), centre crop -> uint8 `(3, size, size)`.

    By Pillow, as published numbers were made; resizing tensors differs in the last grey level.
    """
    # torchvision's functions take pictures as well, which their annotations leave out.
    picture: Any = image.convert("RGB")
    if picture.size != (size, size):
        picture = F.center_crop(F.resize(picture, [size], BICUBIC), [size, size])
    return F.pil_to_tensor(picture)


def to_square(image: Tensor, size: int) -> Tensor:
    """The whole picture squeezed to uint8 `(3, size, size)`, nothing cropped away (Grad-CAM wants to see all of it)."""
    return image if image.shape[-2:] == (size, size) else F.resize(image, [size, size], BICUBIC, antialias=True)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 `(..., 3, H, W)` -> float32 with the model's mean and standard deviation."""
    shape = (3, 1, 1)
    scaled = images.float() / 255
    return (scaled - torch.tensor(mean, device=images.device).view(shape)) / torch.tensor(
        std, device=images.device
    ).view(shape)


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
            image = F.resized_crop(image, *box, [self.size, self.size], BICUBIC, antialias=True)
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
