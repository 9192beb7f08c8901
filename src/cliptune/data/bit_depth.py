"""Conversion of deep images to eight bits: integers of more bits, floating-point values, 16-bit colours.

Files store how many bits a value has, but rarely how many of them are used, so the range is inferred from the values.
The inference is reported in a text that is the same for all images with the same assumption.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from PIL import Image

from cliptune.errors import UserError

#: Bit depths of scanners, cameras and detectors.
COMMON_DEPTHS = (8, 10, 12, 14, 16, 24, 32)
#: TIFF tags that describe the values, and their values.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
UNSIGNED, SIGNED, WHITE_IS_ZERO = 1, 2, 0
#: A 16-bit colour image whose upper bytes are all smaller uses at most 14 bits.
NEARLY_EMPTY_BYTE = 64


def exceeds_8_bits(image: Image.Image) -> bool:
    """Whether an opened image, not yet loaded, has more than eight bits per channel, or signed values."""
    signed = image.mode == "L" and _tag(image, SAMPLE_FORMAT) == SIGNED
    return signed or image.mode[0] in "IF" or ";16" in _raw_mode(image)


def to_8_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Convert a deep image to eight bits per channel. Returns it with what was assumed about its values, or "".

    image: Opened but not yet loaded, or made in memory. Raises `UserError`, whose text continues the file's name, for
    an image without any finite value.
    """
    if image.mode[0] not in "IF" and image.mode != "L":
        return _colours_to_8_bits(image)
    transparent = image.info.get("transparency")
    full, declared = _bits(image)
    unsigned = image.mode == "I" and (_tag(image, BITS), _tag(image, SAMPLE_FORMAT)) == (32, UNSIGNED)
    signed = image.mode == "L"
    inverted = image.mode != "L" and _tag(image, PHOTOMETRIC) == WHITE_IS_ZERO
    values = np.asarray(image)
    if values.dtype.kind == "f":
        grey, assumption = _floats_to_8_bits(values)
    else:
        values = values.view(np.int8) if signed else values.view(np.uint32) if unsigned else values
        grey, assumption = _integers_to_8_bits(values, full, declared)
    made = Image.fromarray(255 - grey if inverted else grey)
    if isinstance(transparent, int):
        made.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return made, assumption


def _bits(image: Image.Image) -> tuple[int, bool]:
    """Bits per value, and whether all of them are known to be used."""
    if image.mode.startswith("I;16"):
        return (12, True) if _raw_mode(image) == "I;12" else (16, False)
    if image.format == "PPM":  # Pillow scales by the maximum in the header; many programs write 65535 for fewer bits
        return 16, _raw_mode(image) != "I;16B"
    return (16 if image.format in ("PNG", "JPEG2000") else _tag(image, BITS) or 32), False


def _integers_to_8_bits(values: np.ndarray, full: int, declared: bool) -> tuple[np.ndarray, str]:
    low, high = int(values.min()), int(values.max())
    if low < 0:
        return _stretch(values, low, high), f"signed {full}-bit values are stretched over the range of each image"
    bits = full if declared else next(depth for depth in COMMON_DEPTHS if high < 1 << depth)
    grey = (values >> (bits - 8)).astype(np.uint8)
    if bits == full or not high:  # black is black at any depth
        return grey, ""
    return grey, f"{full}-bit values are read as {bits} bits, as none is above {(1 << bits) - 1:,}"


def _floats_to_8_bits(values: np.ndarray) -> tuple[np.ndarray, str]:
    finite = np.isfinite(values)
    if not finite.any():
        raise UserError("contains no finite value")
    lost = "" if finite.all() else "; values that are not finite are black"
    known = values[finite] if lost else values
    low, high = float(known.min()), float(known.max())
    if low < 0 and not (low >= -1 and high <= 1):
        grey, how = _stretch(np.where(finite, values, low), low, high), "stretched over the range of each image"
    elif low < 0:
        grey, how = ((values + 1) * 127.5).round(), "read as -1 to 1"
    elif high <= 1:
        grey, how = (values * 255).round(), "read as 0 to 1"
    elif high <= 255:
        grey, how = values, "read as 0 to 255"
    elif high <= 65535:
        grey, how = values / 257, "read as 0 to 65535"
    else:
        grey, how = _stretch(np.where(finite, values, low), low, high), "stretched over the range of each image"
    grey = np.where(finite, grey, 0).astype(np.uint8)
    return grey, "" if low == high == 0 and not lost else f"floating-point values are {how}{lost}"


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale values from black at `low` to white at `high`; a constant image becomes grey."""
    if low == high:
        return np.full(values.shape, 127, np.uint8)
    return ((values.astype(np.float64) - low) * (255 / (high - low))).round().astype(np.uint8)


def _colours_to_8_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Convert a 16-bit colour image. Pillow gives the upper bytes; if these are nearly empty, the lower ones are added.

    Colours and transparency may use different depths.
    """
    file, raw = getattr(image, "fp", None), _raw_mode(image)
    upper = np.asarray(image)
    solid = len(image.getbands()) - (image.mode in ("RGBA", "LA"))
    most = int(upper[..., :solid].max())
    if most >= NEARLY_EMPTY_BYTE:
        return image, ""
    lower = _lower_bytes(file, raw)
    if lower is None or lower.shape != upper.shape:
        return image, "16-bit colours stay dark, as none is above a quarter of the range"
    values = (upper.astype(np.uint16) << 8) | lower
    shallow, assumption = _integers_to_8_bits(values[..., :solid], 16, False)
    alpha = _integers_to_8_bits(values[..., solid:], 16, False)[0] if solid < values.shape[-1] else values[..., solid:]
    return Image.fromarray(np.concatenate([shallow, alpha.astype(np.uint8)], -1), image.mode), assumption


def _lower_bytes(file: Any, raw: str) -> np.ndarray | None:
    """The lower bytes of 16-bit colours: those that Pillow takes for the upper ones in the opposite byte order."""
    other = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}[raw[-1]]
    try:
        file.seek(0)
        with Image.open(file) as image:
            image.tile = [part._replace(args=_replaced(part.args, raw, raw[:-1] + other)) for part in image.tile]
            return np.asarray(image)
    except Exception:  # a closed file, or a layout that Pillow cannot read in that order
        return None


def _replaced(args: Any, old: str, new: str) -> Any:
    return tuple(new if arg == old else arg for arg in args) if isinstance(args, tuple) else new


def _raw_mode(image: Image.Image) -> str:
    """Raw mode of an opened file; "" for an image that is loaded or was made in memory."""
    tile = getattr(image, "tile", None)
    args = tile[0].args if tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _tag(image: Image.Image, number: int) -> int | None:
    """The first value of a TIFF tag, or None."""
    value = getattr(image, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value
