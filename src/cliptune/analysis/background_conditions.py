"""One picture before other backgrounds: none, a blurred one, that of another picture.

Pictures are uint8 `(3, H, W)`, masks uint8 `(1, H, W)` with 255 = foreground; soft masks blend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


#: What is done to a picture, in the order of tables: name -> what it is.
CONDITIONS: Mapping[str, str] = {
    "original": "The picture as it is.",
    "mean": "Only the object; the rest is the mean colour of CLIP's training pictures, which becomes zero.",
    "grey": "Only the object; the rest is an even grey.",
    "blurred": "The object before its own background, blurred beyond recognition.",
    "swapped": "The object before the background of a picture of another class.",
    "scenery": "Only the background; the hole that the object leaves is filled from around it.",
}
GREY = 127
#: Standard deviation of the blur, as a share of the shorter side.
BLUR_SIGMA = 1 / 8
#: A pixel with more foreground than this lends no colour to what fills the object's place.
MAX_FOREGROUND = 13
#: Larger images are blurred at this shorter side: a blur of that size leaves nothing finer.
BLUR_SIZE = 112
#: How far from the mask pixels are still taken for touched by the object, as a share of the shorter side: masks run a
#: little within their objects.
MARGIN = 1 / 64


def apply_conditions(
    image: Tensor, mask: Tensor, other: Tensor, other_mask: Tensor, mean: Sequence[float]
) -> dict[str, Tensor]:
    """`image` in each of `CONDITIONS`. other: the picture that lends its background, of any size, with its mask.
    mean: colour in [0, 1]."""
    import torch

    height, width = image.shape[-2:]
    own = inpaint_background(image, mask)
    lent = resize_to_cover(inpaint_background(other, other_mask), height, width)
    colour = (torch.tensor(mean).view(3, 1, 1) * 255).expand(3, height, width)
    return {
        "original": image,
        "mean": composite(image, mask, colour),
        "grey": composite(image, mask, torch.full((3, height, width), float(GREY))),
        "blurred": composite(image, mask, blur(own)),
        "swapped": composite(image, mask, lent),
        "scenery": own,
    }


def composite(image: Tensor, mask: Tensor, background: Tensor) -> Tensor:
    """The foreground of `image` before `background` `(3, H, W)` in 0..255; uint8."""
    import torch

    share = mask.float() / 255
    return (image * share + background * (1 - share)).round().to(torch.uint8)


def blur(image: Tensor) -> Tensor:
    """`image` blurred by `BLUR` of its shorter side; float32."""
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
    """`image` without its object: the hole is filled smoothly from what is around it, coarse to fine; uint8."""
    import torch
    import torch.nn.functional as F

    reach = max(1, round(MARGIN * min(image.shape[-2:])))
    # A square's maximum is that of its rows' maxima: two passes instead of all pixels of the square.
    near = F.max_pool2d(mask[None].float(), (2 * reach + 1, 1), 1, (reach, 0))
    near = F.max_pool2d(near, (1, 2 * reach + 1), 1, (0, reach))[0]
    known = (near <= MAX_FOREGROUND).float()
    if not known.any():  # nothing but the rim is background
        known = (mask <= MAX_FOREGROUND).float()
    # Colours and how much of them is known, halved until one pixel is left; then back up, known colours over coarser.
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
    """`image` resized to cover `height` x `width`, its centre kept."""
    from torchvision.transforms.v2.functional import InterpolationMode, center_crop, resize

    if image.shape[-2:] == (height, width):
        return image
    scale = max(height / image.shape[-2], width / image.shape[-1])
    size = [max(height, round(image.shape[-2] * scale)), max(width, round(image.shape[-1] * scale))]
    return center_crop(resize(image, size, InterpolationMode.BILINEAR, antialias=True), [height, width])
