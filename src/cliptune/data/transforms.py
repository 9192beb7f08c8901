"""Transforms of an image together with its mask, in uint8 until the batch is normalised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
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
from cliptune.data.random_operations import apply_random_operations
from cliptune.types import DecodedImage

NEAREST = InterpolationMode.NEAREST
#: Factor by which "coop-2021" enlarges before it crops.
ENLARGEMENT = 1.125
#: Whether the installed Pillow resizes vertically first if an image shrinks more in height than in width.
VERTICAL_FIRST = int(PIL.__version__.split(".")[0]) >= 13


def evaluation_view(image: Image.Image, preprocess: Preprocess, preset: str = "crop") -> Tensor:
    """The evaluation view of an image, uint8 `(3, height, width)`: open_clip's transform without normalisation.

    Resizes with Pillow, as published results do; resizing tensors would be a grey level off (see `resize_image`).

    preset: The training preset (`PRESETS`). "coop-2021" has an evaluation view of its own: the image squashed to the
        backbone's size, enlarged by an eighth and cropped at the centre, whatever `resize_mode` is.
    """
    # torchvision's functions accept PIL images, which their annotations leave out.
    rgb: Any = image.convert("RGB")
    fill: Any = preprocess.fill
    (height, width), mode = preprocess.size, InterpolationMode(preprocess.interpolation)
    if preset == "coop-2021":
        large = [int(ENLARGEMENT * height), int(ENLARGEMENT * width)]
        squeezed = F.resize(F.resize(rgb, [height, width], mode), large, mode)
        return F.pil_to_tensor(F.center_crop(squeezed, [height, width]))
    if rgb.size == (width, height):
        return F.pil_to_tensor(rgb)
    if preprocess.resize_mode == "squash":
        rgb = F.resize(rgb, [height, width], mode)
    elif preprocess.resize_mode == "longest":
        rgb = ResizeKeepRatio((height, width), longest=1, interpolation=mode)(rgb)
        rgb = center_crop_or_pad(rgb, [height, width], fill)
    elif height == width:
        rgb = F.center_crop(F.resize(rgb, [height], mode), [height, width])
    else:  # bicubic in open_clip whatever the configuration says
        rgb = F.center_crop(ResizeKeepRatio((height, width))(rgb), [height, width])
    return F.pil_to_tensor(rgb)


def squash(image: Tensor, preprocess: Preprocess) -> Tensor:
    """Resize the whole image to the backbone's size, uint8 `(3, height, width)`, without cropping or padding.

    Saliency is computed on it, so that maps cover the whole image whatever `resize_mode` is.
    """
    return resize_image(image, *preprocess.size, mode=preprocess.interpolation)


def shrink(
    image: DecodedImage, shorter: int, resize: Callable[..., Tensor] | None = None, mode: Interpolation = "bicubic"
) -> DecodedImage:
    """Shrink an image until its shorter edge has at most `shorter` pixels; 0 leaves it unchanged.

    resize: The function to resize with, by default `resize_image`; `resize_with_pillow` resizes as `evaluation_view`.
    """
    height, width = image.image.shape[-2:]
    if not shorter or min(height, width) <= shorter:
        return image
    size = int(shorter * height / min(height, width)), int(shorter * width / min(height, width))
    return DecodedImage(
        (resize or resize_image)(image.image, *size, mode=mode),
        None if image.mask is None else resize_nearest(image.mask, *size),
    )


def resize_image(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """Resize uint8 `(3, H, W)` to `(3, height, width)` with antialiasing, in a quarter of the time that Pillow takes.

    PyTorch and Pillow round to bytes between the two passes, so the order of passes matters; it is that of
    Pillow. What differs is the precision of the weights, 15 bits against Pillow's 22: of the values of photographs,
    three in a thousand are one grey level off, one in a million is two off, and none is more.
    """
    rows, columns = image.shape[-2:]
    if (rows, columns) == (height, width):
        return image
    # Channels last in memory: what the kernel expects and decoders return.
    pixels = image[None].contiguous(memory_format=torch.channels_last)
    if VERTICAL_FIRST and rows > height and rows - height > 2 * (columns - width):
        pixels = torch.nn.functional.interpolate(pixels, (height, columns), mode=mode, antialias=True)
    return torch.nn.functional.interpolate(pixels, (height, width), mode=mode, antialias=True)[0]


def resize_with_pillow(image: Tensor, height: int, width: int, mode: str = "bicubic") -> Tensor:
    """`resize_image` with Pillow: bit for bit the pixels of published code, in four times the time."""
    resized = F.to_pil_image(image).resize((width, height), Image.Resampling[mode.upper()])
    return F.pil_to_tensor(resized)


def resize_nearest(mask: Tensor, height: int, width: int) -> Tensor:
    """Resize `(c, H, W)` to `(c, height, width)` by nearest neighbour, which creates no new values."""
    return F.resize(mask, [height, width], NEAREST)


def standardise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalise uint8 `(..., 3, H, W)` to float32 with the model's mean and standard deviation."""
    mean_, std_ = (_channels(tuple(values), images.device) for values in (mean, std))
    # In place: at this size, fresh memory costs more than the arithmetic.
    scaled = torch.empty(images.shape, device=images.device).copy_(images).div_(255)
    return scaled.sub_(mean_).div_(std_)


@lru_cache(maxsize=64)
def _channels(values: tuple[float, ...], device: torch.device) -> Tensor:
    """A value per channel `(c, 1, 1)`, copied to the device once: each copy would wait for the work in progress."""
    return torch.tensor(values, device=device).view(-1, 1, 1)


#: Resizes `(c, H, W)` to `(c, height, width)`.
Resize = Callable[[Tensor, int, int], Tensor]


class TrainingView(Protocol):
    """A random training view of an image and its mask."""

    def __call__(
        self, source: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        """A view at the backbone's size, image and mask cropped and flipped alike. resize_mask: Resizes the mask."""
        ...


@dataclass(frozen=True)
class RandomCropFlip:
    """RandomResizedCrop and horizontal flip, the training transform of CoOp since October 2021.

    Args:
        size: Size of the view in pixels, `(height, width)` or one number for both.
        scale: Range of the cropped share of the area; (1, 1) squashes the whole image.
        ratio: Range of the crop's aspect ratio.
        flip: Probability of a horizontal flip.
        exact: Resize with Pillow, bit for bit as published code does (`resize_with_pillow`).
        interpolation: Interpolation of the image.
    """

    size: int | tuple[int, int]
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    exact: bool = False
    interpolation: Interpolation = "bicubic"

    def __call__(
        self, source: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        """A view whose image is resized with antialiasing and whose mask is resized by `resize_mask`."""
        image, mask, size = source.image, source.mask, to_2tuple(self.size)
        box = self.box(image.shape[-2], image.shape[-1], generator)
        image = (resize_with_pillow if self.exact else resize_image)(
            F.crop(image, *box), *size, mode=self.interpolation
        )
        mask = None if mask is None else resize_mask(F.crop(mask, *box), *size)
        if generator.random() < self.flip:
            image, mask = image.flip(-1), None if mask is None else mask.flip(-1)
        return DecodedImage(image, mask)

    def box(self, height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of the crop by torchvision's rule, drawn from `generator`."""
        if self.scale == (1.0, 1.0):
            return 0, 0, height, width
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(10):
            area = height * width * generator.uniform(*self.scale)
            aspect = math.exp(generator.uniform(low, high))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return int(generator.integers(0, height - h + 1)), int(generator.integers(0, width - w + 1)), h, w
        # Ten misses happen with very long images: the largest central box of an allowed aspect.
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True)
class RandomTranslate:
    """CoOp's training transform before October 2021: the whole image squashed to the size and flipped; half of the
    time enlarged by an eighth (bilinear) and cut at random; then enlarged by an eighth and cut at the centre.

    size, exact, interpolation: As in `RandomCropFlip`."""

    size: int | tuple[int, int]
    exact: bool = False
    interpolation: Interpolation = "bicubic"

    def __call__(
        self, source: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
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

        mask = None if source.mask is None else view(source.mask, resize_mask, resize_mask)
        resize = resize_with_pillow if self.exact else resize_image
        image = view(source.image, partial(resize, mode=self.interpolation), partial(resize, mode="bilinear"))
        return DecodedImage(image, mask)


@dataclass(frozen=True)
class RandAugment:
    """RandAugment as in Dassl: the whole image squashed to the size, then two random operations.

    Cubuk et al., RandAugment: Practical Automated Data Augmentation with a Reduced Search Space, NeurIPS 2020,
    https://arxiv.org/abs/1909.13719. Checked against Dassl.pytorch c61a1b5. See `apply_random_operations`.

    size, exact, interpolation: As in `RandomCropFlip`."""

    size: int | tuple[int, int]
    exact: bool = False
    interpolation: Interpolation = "bicubic"

    def __call__(
        self, source: DecodedImage, generator: np.random.Generator, resize_mask: Resize = resize_nearest
    ) -> DecodedImage:
        squash = RandomCropFlip(self.size, (1.0, 1.0), flip=0.0, exact=self.exact, interpolation=self.interpolation)
        return apply_random_operations(squash(source, generator, resize_mask), generator)


#: Constructors of training views by preset name; arguments are a size, `exact` and `interpolation`.
PRESETS: Mapping[str, Callable[..., TrainingView]] = {
    "crop": RandomCropFlip,
    "flip": partial(RandomCropFlip, scale=(1.0, 1.0)),
    "none": partial(RandomCropFlip, scale=(1.0, 1.0), flip=0.0),
    "coop-2021": RandomTranslate,
    "randaugment": RandAugment,
}
