"""Mask files: read, turned and sized as their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cliptune.errors import UserError
from cliptune.files import open_regular
from cliptune.masks.pixel_encoding import PixelEncoding, decode_foreground

#: The colour that VOC draws around objects, of no class.
VOC_VOID_COLOUR = (224 << 16) + (224 << 8) + 192
#: Share of pixels that are as their left neighbours, from which on colours are flat areas and not a photograph.
MIN_FLAT_SHARE = 0.9
READ_ERRORS = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)
#: Readings of the released DAPT, which takes the first channel of colours, whatever the file holds.
RELEASE_KINDS = ("release", "stored")
#: Where EXIF keeps how a picture is to be turned; from 5 on width and height change places.
ORIENTATION_TAG = 0x0112
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
    path: Path, size: tuple[int, int] | None = None, picture: Path | None = None, values: PixelEncoding | None = None
) -> tuple[Tensor, str]:
    """A mask file as uint8 `(1, H, W)`, 255 = foreground, and what was remarkable about it, or "".

    size: (H, W) of the picture; a mask of the same aspect is resized to it (nearest). picture: its file; a mask of the
    size that it has before EXIF turns it is turned alike. Raises `UserError` naming a file that is broken, coloured, or
    of another shape.
    """
    values = values or PixelEncoding()
    try:
        with open_regular(path) as file, Image.open(file) as image:
            noisy = image.format == "JPEG"
            image = ImageOps.exif_transpose(image)
            numbers, palette = _pixel_values(image, path, values, noisy)
    except READ_ERRORS as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"mask {path} cannot be read as an image; make it again") from None
    turn = 1 if size is None else match_orientation(numbers.shape, size, picture)
    if size is not None and turn is None:
        (rows, columns), (height, width) = numbers.shape, size
        raise UserError(
            f"mask {path} is {columns}x{rows} but its picture is {width}x{height} pixels, of another shape; make the "
            f"mask from the same picture"
        )
    if values.kind in RELEASE_KINDS:  # which resizes before it reads
        numbers = _resize(numbers, size, Image.Resampling.BICUBIC)
    mask, remark = decode_foreground(numbers, values, palette=palette, noisy=noisy)
    if turn is not None and turn > 1:
        mask = np.asarray(Image.fromarray(mask).transpose(TRANSPOSITIONS[turn]))
        remark = remark or "was made before EXIF turned its picture, so it is turned alike"
    return torch.from_numpy(_resize(mask, size, Image.Resampling.NEAREST).copy())[None], remark


def match_orientation(shape: tuple[int, ...], size: tuple[int, int], picture: Path | None) -> int | None:
    """How a mask of `shape` (H, W) comes to `size`: the EXIF number of the turn, 1 for none; None if it cannot."""
    if _same_aspect(shape, size):
        return 1
    turn = exif_orientation(picture)
    return turn if turn >= 5 and _same_aspect(shape, size[::-1]) else None


def exif_orientation(picture: Path | None) -> int:
    """The EXIF number of how a picture file is turned, 1 for not at all."""
    if picture is None:
        return 1
    try:
        with open_regular(picture) as file, Image.open(file) as image:
            turn = int(image.getexif().get(ORIENTATION_TAG, 1))
    except READ_ERRORS:
        return 1
    return turn if turn in TRANSPOSITIONS else 1


def image_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """(H, W) from a file's header, turned as EXIF says if `upright`. Raises `UserError` for a broken one."""
    try:
        with open_regular(path) as file, Image.open(file) as image:
            turned = upright and image.getexif().get(ORIENTATION_TAG, 1) in (5, 6, 7, 8)
            width, height = image.size
            return (width, height) if turned else (height, width)
    except READ_ERRORS:
        raise UserError(f"{path} cannot be read as an image; make it again") from None


def _resize(plane: np.ndarray, size: tuple[int, int] | None, how: Image.Resampling) -> np.ndarray:
    if size is None or plane.shape == size:
        return plane
    return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), how))


def _same_aspect(shape: tuple[int, ...], size: tuple[int, ...]) -> bool:
    """Whether one is the other resized, to a pixel of the smaller."""
    (a, b), (c, d) = shape, size
    return min(abs(a - c * b / d), abs(b - d * a / c), abs(c - a * d / b), abs(d - b * c / a)) <= 1


def _pixel_values(image: Image.Image, path: Path, values: PixelEncoding, noisy: bool) -> tuple[np.ndarray, bool]:
    """Whole numbers `(H, W)` from 0 of whatever an image keeps, and whether they stand for colours."""
    if values.kind in RELEASE_KINDS:
        return np.asarray(image.convert("RGB"))[..., 0], False
    if image.mode == "P" and "transparency" not in image.info:
        index = np.asarray(image)
        colours = np.zeros((256, 3), np.uint8)
        held = np.asarray(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        colours[: len(held)] = held
        used = colours[np.unique(index)]
        grey = (used == used[:, :1]).all()
        return (index, True) if values.kind == "labels" or not grey else (colours[index][..., 0], False)
    if image.mode[0] in "IF":  # 16 or 32 bits a pixel, or real numbers
        deep = np.asarray(image)
        return (_floats_to_integers(deep, path) if image.mode == "F" else deep.clip(0)), False  # below 0 is of no class
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        if alpha.min() < alpha.max():
            return alpha, False
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L")), False
    rgb = np.asarray(image.convert("RGB"))
    if int((rgb.max(-1) - rgb.min(-1)).max()) <= (16 if noisy else 0):
        return rgb[..., 0], False
    packed = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, index = np.unique(packed, return_inverse=True)
    flat = len(colours) <= 256 or np.mean(packed[:, 1:] == packed[:, :-1]) >= MIN_FLAT_SHARE
    if noisy or not flat:
        raise UserError(f"mask {path} is a coloured picture; masks are grey, black and white, or flat colours as PNG")
    order = np.arange(1, len(colours) + 1)
    order[np.isin(colours, (0, VOC_VOID_COLOUR))] = 0
    order = order.clip(max=254) if len(colours) <= 256 else order  # 255 would be void
    return order[index.reshape(rgb.shape[:2])], True


def _floats_to_integers(held: np.ndarray, path: Path) -> np.ndarray:
    """Whole numbers of floating-point ones: shares from 0 to 1, greys, or labels."""
    if not np.isfinite(held).all() or held.min() < 0:
        raise UserError(
            f"mask {path} holds values that are negative or no numbers; soft masks are floats from 0 to 1, labels are "
            f"whole numbers"
        )
    if held.max() <= 1:
        return (held * 255).round().astype(np.uint8)
    whole = held.round()
    if held.max() > 255 and (whole != held).any():
        raise UserError(f"mask {path} holds fractions up to {held.max():g}; soft masks are floats from 0 to 1")
    return whole.astype(np.int64)
