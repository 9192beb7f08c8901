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
from open_clip.transform import ResizeKeepRatio, center_crop_or_pad
from open_clip.utils import to_2tuple
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from torchvision.transforms.v2.functional import InterpolationMode

from cliptune.backbones.preprocess import Interpolation, Preprocess
from cliptune.types import DecodedImage

NEAREST = InterpolationMode.NEAREST
#: By how much "coop-2021" enlarges before it cuts.
ENLARGEMENT = 1.125
#: Whether the installed Pillow resizes pictures that lose more height than width vertically first.
VERTICAL_FIRST = int(PIL.__version__.split(".")[0]) >= 13


def evaluation_view(image: Image.Image, preprocess: Preprocess, preset: str = "crop") -> Tensor:
    """The evaluation view of an image, uint8 `(3, height, width)`: open_clip's transform before it normalises.

    By Pillow, as published numbers were made; tensors come out a grey level off (`resized`). preset: that of training
    (`PRESETS`); "coop-2021" has a view of its own, the image squeezed to the backbone's size, enlarged by an eighth and
    cropped at the centre, whatever `resize_mode` is.
    """
    # torchvision's functions take images as well, which their annotations leave out.
    picture: Any = image.convert("RGB")
    fill: Any = preprocess.fill
    (height, width), mode = preprocess.size, InterpolationMode(preprocess.interpolation)
    if preset == "coop-2021":
        large = [int(ENLARGEMENT * height), int(ENLARGEMENT * width)]
        squeezed = F.resize(F.resize(picture, [height, width], mode), large, mode)
        return F.pil_to_tensor(F.center_crop(squeezed, [height, width]))
    if picture.size == (width, height):
        return F.pil_to_tensor(picture)
    if preprocess.resize_mode == "squash":
        picture = F.resize(picture, [height, width], mode)
    elif preprocess.resize_mode == "longest":
        picture = ResizeKeepRatio((height, width), longest=1, interpolation=mode)(picture)
        picture = center_crop_or_pad(picture, [height, width], fill)
    elif height == width:
        picture = F.center_crop(F.resize(picture, [height], mode), [height, width])
    else:  # bicubic in open_clip whatever the configuration says
        picture = F.center_crop(ResizeKeepRatio((height, width))(picture), [height, width])
    return F.pil_to_tensor(picture)


def squash(image: Tensor, preprocess: Preprocess) -> Tensor:
    """The whole image squeezed to the backbone's size, uint8 `(3, height, width)`, nothing cropped away or padded:
    what Grad-CAM looks at, so that its maps cover the image whatever `resize_mode` is."""
    return resize_image(image, *preprocess.size, mode=preprocess.interpolation)


def shrink(
    picture: DecodedImage, shorter: int, resize: Callable[..., Tensor] | None = None, mode: Interpolation = "bicubic"
) -> DecodedImage:
    """A picture whose shorter edge is at most `shorter`; 0 leaves it alone. resize: `resized`, or `by_pillow` for the
    pixels of `evaluation`."""
    height, width = picture.image.shape[-2:]
    if not shorter or min(height, width) <= shorter:
        return picture
    size = int(shorter * height / min(height, width)), int(shorter * width / min(height, width))
    return DecodedImage(
        (resize or resize_image)(picture.image, *size, mode=mode),
        None if picture.mask is None else resize_nearest(picture.mask, *size),
    )


def resize_image(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
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
    if VERTICAL_FIRST and rows > height and rows - height > 2 * (columns - width):
        pixels = torch.nn.functional.interpolate(pixels, (height, columns), mode=mode, antialias=True)
    return torch.nn.functional.interpolate(pixels, (height, width), mode=mode, antialias=True)[0]


def resize_with_pillow(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """`resized` by Pillow itself: to the bit what published codes saw, in four times the time."""
    picture = F.to_pil_image(image).resize((width, height), Image.Resampling[mode.upper()])
    return F.pil_to_tensor(picture)


def resize_nearest(mask: Tensor, height: int, width: int) -> Tensor:
    """`(c, H, W)` -> `(c, height, width)` without values that were not there."""
    return F.resize(mask, [height, width], NEAREST)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 `(..., 3, H, W)` -> float32 with the model's mean and standard deviation."""
    mean_, std_ = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    # In place: at this size, fresh memory costs more than the arithmetic.
    scaled = torch.empty(images.shape, device=images.device).copy_(images).div_(255)
    return scaled.sub_(mean_).div_(std_)


#: Resizes `(c, H, W)` to `(c, height, width)`.
Resize = Callable[[Tensor, int, int], Tensor]


class TrainingView(Protocol):
    """A training view of a picture."""

    def __call__(
        self, picture: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        """A view of image and mask at the backbone's size, cut and turned alike; `resize_mask` resizes the mask."""
        ...


@dataclass(frozen=True)
class RandomCropFlip:
    """RandomResizedCrop and horizontal flip, the training transform of CoOp since October 2021.

    size: of the view in pixels, `(height, width)` or one number for both. scale: range of the cropped share of the
    area; (1, 1) squeezes the whole picture. flip: probability. exact: resize as Pillow does, to the bit (`by_pillow`).
    interpolation: of the image.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    exact: bool = False
    interpolation: Interpolation = "bicubic"

    def __call__(
        self, picture: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        """A view of image (antialiased) and mask (nearest), cut and turned alike."""
        image, mask, size = picture.image, picture.mask, to_2tuple(self.size)
        box = self.box(image.shape[-2], image.shape[-1], generator)
        image = (resize_with_pillow if self.exact else resize_image)(
            F.crop(image, *box), *size, mode=self.interpolation
        )
        mask = None if mask is None else resize_mask(F.crop(mask, *box), *size)
        if generator.random() < self.flip:
            image, mask = image.flip(-1), None if mask is None else mask.flip(-1)
        return DecodedImage(image, mask)

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
class RandomTranslate:
    """CoOp's training transform before October 2021: the whole picture squeezed to the size and flipped; half of the
    time enlarged by an eighth (bilinear) and cut at random; then enlarged by an eighth and cut at the centre.

    size, exact, interpolation: those of `Augment`."""

    size: int | tuple[int, int]
    exact: bool = False
    interpolation: Interpolation = "bicubic"

    def __call__(
        self, picture: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        size = to_2tuple(self.size)
        wide = [round(ENLARGEMENT * edge) for edge in size]
        flip, move = generator.random() < 0.5, generator.random() < 0.5
        corner = [round(x * (w - s)) for x, w, s in zip(generator.random(2), wide, size, strict=True)]

        def view(image: Tensor, resize: Resize, bilinear: Resize) -> Tensor:
            image = resize(image, *size)
            image = image.flip(-1) if flip else image
            if move:
                image = F.crop(bilinear(image, *wide), *corner, *size)
            enlarged = resize(image, *(int(ENLARGEMENT * edge) for edge in size))
            return F.center_crop(enlarged, list(size)).contiguous()

        mask = None if picture.mask is None else view(picture.mask, resize_mask, resize_mask)
        resize = resize_with_pillow if self.exact else resize_image
        image = view(picture.image, partial(resize, mode=self.interpolation), partial(resize, mode="bilinear"))
        return DecodedImage(image, mask)


#: Training views by name, for a size, `exact` and `interpolation`.
PRESETS: Mapping[str, Callable[..., TrainingView]] = {
    "crop": RandomCropFlip,
    "flip": partial(RandomCropFlip, scale=(1.0, 1.0)),
    "none": partial(RandomCropFlip, scale=(1.0, 1.0), flip=0.0),
    "coop-2021": RandomTranslate,
}
