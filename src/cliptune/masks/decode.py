"""Read mask files, in the orientation and size of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cliptune.errors import UserError
from cliptune.files import open_regular
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground

#: The colour of object borders in Pascal VOC, which belong to no class.
VOC_VOID_COLOUR = (224 << 16) + (224 << 8) + 192
#: Colours are flat areas, not a photograph, if at least this share of pixels equals the left neighbour.
MIN_FLAT_SHARE = 0.9
READ_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
#: Encodings of the released DAPT, which uses the first colour channel of any file.
RELEASE_KINDS = ("release", "stored")
#: EXIF orientation -> how an image is turned upright. From 5 on, width and height are swapped.
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_mask(
    path: Path, size: tuple[int, int] | None = None, image: Path | None = None, encoding: PixelEncoding | None = None
) -> tuple[Tensor, str]:
    """Read a mask file.

    Args:
        size: (H, W) of the image. A mask of the same aspect ratio is resized to it (nearest neighbour).
        image: The image's file. A mask of the size that the image has before its EXIF orientation is applied is
            transposed in the same way.
        encoding: What pixel values mean.

    Returns:
        uint8 `(1, H, W)`, 255 = foreground, and a remark about the file if something was ambiguous, else "".

    Raises `UserError` naming a file that is unreadable, a coloured photograph, or of another shape.
    """
    encoding = encoding or PixelEncoding()
    try:
        with open_regular(path) as file, Image.open(file) as opened:
            is_jpeg = opened.format == "JPEG"
            values, palette = _pixel_values(ImageOps.exif_transpose(opened), path, encoding, is_jpeg)
    except READ_ERRORS as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"mask {path} cannot be read as an image; make it again") from None
    turn = 1 if size is None else match_orientation(values.shape, size, image)
    if size is not None and turn is None:
        (rows, columns), (height, width) = values.shape, size
        raise UserError(
            f"mask {path} is {columns}x{rows} but its image is {width}x{height} pixels, of another shape; make the "
            f"mask from the same image"
        )
    if encoding.kind in RELEASE_KINDS:  # the release resizes before it decodes
        values = _resize(values, size, Image.Resampling.BICUBIC)
    mask, remark = decode_foreground(values, encoding, palette=palette, is_jpeg=is_jpeg)
    if turn is not None and turn > 1:
        mask = np.asarray(Image.fromarray(mask).transpose(TRANSPOSITIONS[turn]))
        remark = (
            remark or "was made before its image's EXIF orientation was applied, so it is transposed in the same way"
        )
    return torch.from_numpy(_resize(mask, size, Image.Resampling.NEAREST).copy())[None], remark


def match_orientation(shape: tuple[int, ...], size: tuple[int, int], image: Path | None) -> int | None:
    """The EXIF orientation that brings a mask of `shape` (H, W) to the aspect ratio of `size`: 1 if it has that
    already, else the image's; None if neither fits."""
    if _same_aspect(shape, size):
        return 1
    turn = exif_orientation(image)
    return turn if turn >= 5 and _same_aspect(shape, size[::-1]) else None


def exif_orientation(path: Path | None) -> int:
    """The EXIF orientation of an image file, 1 if it has none."""
    if path is None:
        return 1
    try:
        with open_regular(path) as file, Image.open(file) as image:
            turn = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except READ_ERRORS:
        return 1
    return turn if turn in TRANSPOSITIONS else 1


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) from a file's header, after its EXIF orientation is applied. Raises `UserError` if it is unreadable."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (width, height) if turned else (height, width)
    except READ_ERRORS:
        raise UserError(f"{path} cannot be read as an image; make it again") from None


def _resize(plane: np.ndarray, size: tuple[int, int] | None, how: Image.Resampling) -> np.ndarray:
    if size is None or plane.shape == size:
        return plane
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), how))


def _same_aspect(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether the aspect ratios agree to within a pixel of the smaller size."""
    (a, b), (c, d) = shape, size
    return min(abs(a - c * b / d), abs(b - d * a / c), abs(c - a * d / b), abs(d - b * c / a)) <= 1


def _pixel_values(image: Image.Image, path: Path, encoding: PixelEncoding, is_jpeg: bool) -> tuple[np.ndarray, bool]:
    """Non-negative integers `(H, W)` of an image of any mode, and whether they index colours."""
    if encoding.kind in RELEASE_KINDS:
        return np.asarray(image.convert("RGB"))[..., 0], False
    if image.mode == "P" and "transparency" not in image.info:
        index = np.asarray(image)
        colours = np.zeros((256, 3), np.uint8)
        palette = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        colours[: len(palette)] = palette
        used = colours[np.unique(index)]
        grey = (used == used[:, :1]).all()
        return (index, True) if encoding.kind == "labels" or not grey else (colours[index][..., 0], False)
    if image.mode[0] in "IF":  # 16 or 32 bits per pixel, or floating point
        deep = np.asarray(image)
        # Negative labels mean no class.
        return (_floats_to_integers(deep, path) if image.mode == "F" else deep.clip(0)), False
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < alpha.max():
            return alpha, False
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L")), False
    rgb = np.asarray(image.convert("RGB"))
    if int((rgb.max(-1) - rgb.min(-1)).max()) <= (16 if is_jpeg else 0):
        return rgb[..., 0], False
    packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(packed, return_inverse=True)
    flat = len(colours) <= 256 or np.mean(packed[:, 1:] == packed[:, :-1]) >= MIN_FLAT_SHARE
    if is_jpeg or not flat:
        raise UserError(f"mask {path} is a coloured image; masks are grey, black and white, or flat colours as PNG")
    order = np.arange(1, len(colours) + 1)
    order[np.isin(colours, (0, VOC_VOID_COLOUR))] = 0
    order = order.clip(max=254) if len(colours) <= 256 else order  # 255 would be void
    return order[index.reshape(rgb.shape[:2])], True


def _floats_to_integers(values: np.ndarray, path: Path) -> np.ndarray:
    """Integers from floating-point values: fractions from 0 to 1, greys, or labels."""
    if not np.isfinite(values).all() or values.min() < 0:
        raise UserError(
            f"mask {path} contains negative or non-finite values; soft masks are floats in [0, 1], labels integers"
        )
    if values.max() <= 1:
        return (values * 255).round().astype(np.uint8)
    whole = values.round()
    if values.max() > 255 and (whole != values).any():
        raise UserError(f"mask {path} contains fractions up to {values.max():g}; soft masks are floats from 0 to 1")
    return whole.astype(np.int64)
