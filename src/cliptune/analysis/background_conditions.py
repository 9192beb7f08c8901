"""Variants of an image with its background removed, blurred or replaced.

Images are uint8 `(3, H, W)`, masks uint8 `(1, H, W)` with 255 = foreground. Soft masks blend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


#: Conditions in the order of tables: name -> description.
CONDITIONS: Mapping[str, str] = {
    "original": "The original image.",
    "mean": "The object on the mean colour of CLIP's training images, which normalises to zero.",
    "grey": "The object on uniform grey.",
    "blurred": "The object on its own background, strongly blurred.",
    "swapped": "The object on the background of an image of another class.",
    "background": "The background alone; the object's area is filled from its surroundings.",
}
GREY = 127
#: Standard deviation of the blur, as a share of the shorter side.
BLUR_SIGMA = 1 / 8
#: Pixels with more foreground than this are not used to fill the object's area.
MAX_FOREGROUND = 13
#: Larger images are blurred at this shorter side, as the blur leaves no finer detail.
BLUR_SIZE = 112
#: Width of the margin around the mask that counts as object, as a share of the shorter side, because masks are often
#: slightly smaller than their objects.
MARGIN = 1 / 64


def apply_conditions(
    image: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor, mean: Sequence[float]
) -> dict[str, Tensor]:
    """`image` under each of `CONDITIONS`.

    Args:
        other: The image, of any size, whose background replaces that of `image`.
        other_mask: The mask of `other`.
        mean: Colour in [0, 1] of a removed background.
    """
    import torch

    height, width = image.shape[-2:]
    own = inpaint_background(image, mask)
    replacement = resize_to_cover(inpaint_background(other, other_mask), height, width)
    colour = (torch.tensor(mean).view(3, 1, 1) * 255).expand(3, height, width)
    return {
        "original": image,
        "mean": composite(image, mask, colour),
        "grey": composite(image, mask, torch.full((3, height, width), float(GREY))),
        "blurred": composite(image, mask, blur(own)),
        "swapped": composite(image, mask, replacement),
        "background": own,
    }


def composite(image: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """The foreground of `image` on `background` `(3, H, W)` in 0..255; uint8."""
    import torch

    share = mask.float() / 255
    return (image * share + background * (1 - share)).round().to(torch.uint8)


def blur(image: Tensor) -> Tensor:
    """`image` blurred with a standard deviation of `BLUR_SIGMA` of its shorter side; float32."""
    from torchvision.transforms.v2.functional import InterpolationMode, gaussian_blur, resize

    height, width = image.shape[-2:]
    whole, scale = image.float(), BLUR_SIZE / min(height, width)
    if scale < 1:
        whole = resize(whole, [max(1, round(height * scale)), max(1, round(width * scale))], antialias=True)
    shorter = min(whole.shape[-2:])
    sigma = max(1.0, BLUR_SIGMA * shorter)
    kernel = 2 * min(ceil(2 * sigma), (shorter - 1) // 2) + 1
    soft = gaussian_blur(whole, [kernel, kernel], [sigma, sigma])
    return soft if scale >= 1 else resize(soft, [height, width], InterpolationMode.BILINEAR, antialias=True)


def inpaint_background(image: Tensor, mask: Tensor) -> Tensor:
    """`image` without its object, whose area is filled smoothly from its surroundings, coarse to fine; uint8."""
    import torch
    import torch.nn.functional as F

    reach = max(1, round(MARGIN * min(image.shape[-2:])))
    # The maximum over a square is separable: one pass per axis.
    near = F.max_pool2d(mask[None].float(), (2 * reach + 1, 1), 1, (reach, 0))
    near = F.max_pool2d(near, (1, 2 * reach + 1), 1, (0, reach))[0]
    known = (near <= MAX_FOREGROUND).float()
    if not known.any():  # only the margin is background
        known = (mask <= MAX_FOREGROUND).float()
    # Average known colours down to one pixel, then upsample and put the known colours of each level on top.
    levels = [torch.cat([image * known, known])]
    while min(levels[-1].shape[-2:]) > 1:
        levels.append(F.avg_pool2d(levels[-1][None], 2, ceil_mode=True)[0])
    total = levels[-1].sum((1, 2))
    filled = (total[:3] / total[3].clamp_min(1e-6)).view(3, 1, 1)
    for level in reversed(levels):
        filled = F.interpolate(filled[None], level.shape[-2:], mode="bilinear", align_corners=False)[0]
        filled = level[:3] + filled * (1 - level[3:])
    return torch.where(known > 0, image.float(), filled).round().clamp(0, 255).to(torch.uint8)


def resize_to_cover(image: Tensor, height: int, width: int) -> Tensor:
    """`image` resized to cover `height` x `width` and centre-cropped."""
    from torchvision.transforms.v2.functional import InterpolationMode, center_crop, resize

    if image.shape[-2:] == (height, width):
        return image
    scale = max(height / image.shape[-2], width / image.shape[-1])
    size = [max(height, round(image.shape[-2] * scale)), max(width, round(image.shape[-1] * scale))]
    return center_crop(resize(image, size, InterpolationMode.BILINEAR, antialias=True), [height, width])
