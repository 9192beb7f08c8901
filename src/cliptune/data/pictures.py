"""Picture files, whatever they hold: turned upright, eight bits, RGB."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.errors import UserError
from cliptune.types import Picture

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


def read_picture(path: Path) -> Picture:
    """A picture file turned as its EXIF says, with its transparency (if anything in it is transparent) as mask.

    Raises `UserError` naming a broken file.
    """
    return decode(path, f"picture {path}")


def decode(content: Path | BinaryIO, what: str) -> Picture:
    """A picture from a file or from its bytes; `what` names it in the `UserError` that a broken one raises."""
    try:
        with Image.open(content) as image:
            return picture_of(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{what} cannot be read ({type(error).__name__}); remove or replace it") from None


def picture_of(image: Image.Image) -> Picture:
    """An opened picture, likewise turned, with its transparency as mask."""
    image = upright(image)
    alpha = pil_to_tensor(image.convert("RGBA"))[3:] if image.has_transparency_data else None
    mask = None if alpha is None or alpha.min() == 255 else alpha
    return Picture(pil_to_tensor(image.convert("RGB")), mask)


def upright(image: Image.Image) -> Image.Image:
    """A picture turned as its EXIF says, 16 bits a pixel brought to 8, where Pillow would cut them off at 255."""
    image = ImageOps.exif_transpose(image)
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
