"""The operations of RandAugment on an image, and on its mask where they move pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional as F

from cliptune.types import DecodedImage

#: Operations per view, and their strength as a share of each range.
OPERATIONS, STRENGTH = 2, 10 / 30
#: Size of the images for which the ranges in pixels were chosen.
PUBLISHED_SIZE = 224
#: Colour of the square that `_cut_out` fills.
GREY = torch.tensor([125, 123, 114], dtype=torch.uint8).view(3, 1, 1)


def _at_strength(low: float, high: float) -> float:
    return low + STRENGTH * (high - low)


def _add_and_solarize(image: Any) -> Any:
    """Brighten all pixels, then invert those above the middle."""
    added = _at_strength(0, 110)
    return F.solarize(image.point(lambda value: min(int(value + added), 255)), 128)


#: Operations on the colours of a Pillow image.
COLOUR_OPERATIONS: tuple[Callable[[Any], Any], ...] = (
    F.autocontrast,
    F.equalize,
    F.invert,
    partial(F.posterize, bits=int(_at_strength(4, 8))),
    partial(F.solarize, threshold=_at_strength(0, 256)),
    _add_and_solarize,
    partial(F.adjust_saturation, saturation_factor=_at_strength(0.1, 1.9)),
    partial(F.adjust_contrast, contrast_factor=_at_strength(0.1, 1.9)),
    partial(F.adjust_brightness, brightness_factor=_at_strength(0.1, 1.9)),
    partial(F.adjust_sharpness, sharpness_factor=_at_strength(0.1, 1.9)),
)
_SHEAR = math.degrees(math.atan(_at_strength(0, 0.3)))
_SHIFT = _at_strength(0, 100) / PUBLISHED_SIZE
#: Operations that move pixels: arguments of `F.affine`, of either sign, with translations as shares of the size.
MOVES: tuple[Mapping[str, Any], ...] = (
    {"angle": _at_strength(0, 30)},
    {"shear": (_SHEAR, 0.0), "center": [0, 0]},
    {"shear": (0.0, _SHEAR), "center": [0, 0]},
    {"translate": (_SHIFT, 0.0)},
    {"translate": (0.0, _SHIFT)},
)


def apply_random_operations(view: DecodedImage, generator: np.random.Generator) -> DecodedImage:
    """Apply two operations of RandAugment, drawn with replacement from the sixteen of Dassl, at a third of their range.

    Rotations, shears and translations have a random sign; the mask follows them, and what they bring in is black in the
    image and background in the mask. A square that is cut out of the image stays in the mask. Distances in pixels,
    chosen for a size of 224, are in proportion to the size of the image.

    view: Image uint8 `(3, H, W)`, and mask uint8 `(1, H, W)` or None.
    """
    # Pillow's operations, as in published code; those of tensors round otherwise.
    image: Any = F.to_pil_image(view.image)
    mask: Any = None if view.mask is None else F.to_pil_image(view.mask)
    for number in generator.integers(len(COLOUR_OPERATIONS) + len(MOVES) + 1, size=OPERATIONS):
        if number < len(COLOUR_OPERATIONS):
            image = COLOUR_OPERATIONS[number](image)
        elif number - len(COLOUR_OPERATIONS) < len(MOVES):
            move, sign = MOVES[number - len(COLOUR_OPERATIONS)], 1 if generator.random() < 0.5 else -1
            image, mask = _move(image, move, sign), None if mask is None else _move(mask, move, sign)
        else:
            image = _cut_out(image, generator)
    return DecodedImage(F.pil_to_tensor(image), None if mask is None else F.pil_to_tensor(mask))


def _move(image: Any, move: Mapping[str, Any], sign: int) -> Any:
    """The Pillow image moved, by nearest neighbour and with zeros for what comes in."""
    still = {"angle": 0.0, "translate": (0.0, 0.0), "shear": (0.0, 0.0), "center": None} | {**move}
    pixels = [sign * share * edge for share, edge in zip(still["translate"], image.size, strict=True)]
    shear = [sign * degrees for degrees in still["shear"]]
    return F.affine(image, sign * still["angle"], pixels, 1.0, shear, center=still["center"])


def _cut_out(image: Any, generator: np.random.Generator) -> Any:
    """The Pillow image with a grey square around a random point, as far as it is inside."""
    sides = [_at_strength(0, 40) / PUBLISHED_SIZE * edge for edge in image.size]
    corners = [int(max(0, generator.uniform(0, edge) - s / 2)) for edge, s in zip(image.size, sides, strict=True)]
    ends = [min(edge, int(c + s) + 1) for edge, c, s in zip(image.size, corners, sides, strict=True)]
    (left, top), (right, bottom) = corners, ends
    return F.erase(image, top, left, bottom - top, right - left, GREY)
