"""The meaning of pixel values in mask files: black and white, grey, labels or trimaps, also after JPEG compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from cliptune.errors import UserError

#: Labels of pixels without a class in files of 8 bits (as in Pascal VOC) and of 16 bits.
VOID_8_BIT, VOID_16_BIT = 255, 65535
#: One grey level of 8 bits, in 16 bits.
GREY_STEP_16_BIT = 257
#: The only values in a trimap, such as those of Oxford Pets.
TRIMAP_FOREGROUND, TRIMAP_BACKGROUND, TRIMAP_BORDER = 1, 2, 3
#: Values up to this one are labels rather than grey, as a soft mask has some above.
MAX_LABEL = 64
#: A soft mask has more levels than this.
MAX_LISTED_LEVELS = 16
#: The largest value that JPEG compression makes of zeros and ones.
MAX_JPEG_OF_BINARY = 8

#: The way out when the automatic choice is wrong.
OVERRIDE_HINT = "if that is wrong, add ,values=grey or ,values=labels (with foreground=1 or void=0) to the path"
USER_KINDS = ("auto", "grey", "labels", "trimap")

EncodingKind = Literal["auto", "grey", "labels", "trimap", "release", "stored"]


@dataclass(frozen=True)
class PixelEncoding:
    """How pixel values are decoded.

    Args:
        kind: "auto" decides for each file (see `decode_foreground`). "grey" is v / 255, or v / 65535. "labels" makes
            any value but 0 and `void` foreground. "trimap" is 1 foreground, 2 background, 3 border, which is not
            foreground. "release" is the rule of the released DAPT: 255 is background, any other value from 1 is
            foreground, so that an ordinary mask of 0 and 255 is all background. "stored" leaves the values unchanged,
            for the "release" rule to decode them after resizing.
        void: The label without a class. By default 255, or 65535 if there are values above 255.
        foreground: The labels that are foreground; empty for all.
    """

    kind: EncodingKind = "auto"
    void: int | None = None
    foreground: tuple[int, ...] = ()


def parse_path_options(text: str) -> tuple[str, PixelEncoding]:
    """Parse `PATH,values=labels,void=255,foreground=1+3` into a path and an encoding. Each option may be omitted.

    `void` and `foreground` are about labels, so they imply `values=labels`. Raises `UserError` for an invalid value.
    """
    path, options = text, dict[str, str]()
    while True:
        rest, comma, option = path.rpartition(",")
        name, equals, value = option.partition("=")
        if not (comma and equals and name.strip() in ("values", "void", "foreground")):
            break
        path, options[name.strip()] = rest, value.strip()
    kind = options.get("values", "labels" if options else "auto")
    if kind not in USER_KINDS or (len(options) > ("values" in options) and kind != "labels"):
        raise UserError(
            f"masks cannot be read with values={kind} in {text!r}; use auto, grey, trimap or labels (also with void)"
        )
    try:
        void = int(options["void"]) if "void" in options else None
        foreground = tuple(int(number) for number in options.get("foreground", "").split("+") if number)
        if not all(0 <= number < 1 << 32 for number in (void or 0, *foreground)):
            raise ValueError
    except ValueError:
        raise UserError(f"labels of masks are integers from 0, as in void=255,foreground=1+3; got {text!r}") from None
    return path, PixelEncoding(kind, void, foreground)  # type: ignore[arg-type]


def decode_foreground(
    values: np.ndarray, encoding: PixelEncoding, *, palette: bool = False, is_jpeg: bool = False
) -> tuple[np.ndarray, str]:
    """Decode the non-negative integers `(H, W)` of a mask file.

    With the encoding "auto": colours are labels. A single value above 0 is foreground ({0, 1}, {0, 255}, {0, 254},
    {0, 15}). 1, 2 and 3 without 0 are a trimap, and several small values are labels; both give a remark, as do a few
    larger values. Anything else is grey. JPEG noise around two levels is cut in the middle. Values above 255 are grey
    if they are the 256 greys in 16 bits, or if they are many and use the whole range; otherwise they are labels.

    Args:
        palette: The values are indices of colours.
        is_jpeg: The file was JPEG-compressed.

    Returns:
        The foreground, uint8 `(H, W)` in 0..255, and a remark about an ambiguous choice, or "".
    """
    if encoding.kind == "release":
        remark = ""
        if not ((values > 0) & (values < VOID_8_BIT)).any() and values.max() == VOID_8_BIT:
            remark = "contains only 0 and 255, all background by the release's rule; folder: reads 255 as foreground"
        return _to_mask((values > 0) & (values != VOID_8_BIT)), remark
    if encoding.kind == "labels":
        return _decode_labels(values, encoding), ""
    if encoding.kind == "stored":
        return values, ""
    if encoding.kind == "trimap":
        return _to_mask(values == TRIMAP_FOREGROUND), ""
    top = int(values.max())
    if encoding.kind == "grey":
        return _decode_grey(values, top), ""
    return _decode_auto(values, encoding, palette, is_jpeg)


def _decode_auto(values: np.ndarray, encoding: PixelEncoding, palette: bool, is_jpeg: bool) -> tuple[np.ndarray, str]:
    """Choose the encoding of a file by its values (see `decode_foreground`)."""
    top, levels = int(values.max()), _levels(values)
    if top > 255 and not palette and top <= VOID_16_BIT:
        if not (levels % GREY_STEP_16_BIT).any():
            values, levels, top = _decode_grey(values, top), levels // GREY_STEP_16_BIT, top // GREY_STEP_16_BIT
        elif len(levels) > 256 and top > 0.9 * VOID_16_BIT:
            return _decode_grey(values, top), ""
    lowest = int(levels[0])
    levels = levels[levels > 0]
    if is_jpeg and top <= MAX_JPEG_OF_BINARY:
        return _to_mask(values > 0), ""
    if is_jpeg:
        level = np.median(values[values > top / 2])
        if np.mean((values <= level / 8) | (abs(values - level) <= level / 8)) >= 0.9:
            return _to_mask(values > level / 2), ""
    if len(levels) <= 1:
        return _to_mask(values > 0), ""
    if palette:
        return _decode_labels(values, encoding), ""
    if lowest >= TRIMAP_FOREGROUND and top <= TRIMAP_BORDER:
        return _to_mask(values == TRIMAP_FOREGROUND), (
            f"contains {' and '.join(map(str, levels))} without 0, read as trimap: 1 is foreground, 2 background, 3 "
            f"border; {OVERRIDE_HINT}"
        )
    largest_label = int(levels[levels != VOID_8_BIT].max())
    if top > VOID_8_BIT or largest_label <= MAX_LABEL:
        many = f"{len(levels):,} values up to {top:,}" if top > VOID_8_BIT else f"small values up to {largest_label}"
        void = f", {top} is void" if top in (VOID_8_BIT, VOID_16_BIT) else ""
        remark = f"contains {many}, read as labels: all but 0 are foreground{void}; {OVERRIDE_HINT}"
        return _decode_labels(values, encoding), remark
    remark = f"contains {len(levels)} levels ({', '.join(map(str, levels))}), read as grey; {OVERRIDE_HINT}"
    return values, remark if len(levels) <= MAX_LISTED_LEVELS else ""


def _decode_labels(values: np.ndarray, encoding: PixelEncoding) -> np.ndarray:
    if encoding.foreground:
        return _to_mask(np.isin(values, encoding.foreground))
    void = encoding.void if encoding.void is not None else VOID_8_BIT if values.max() <= VOID_8_BIT else VOID_16_BIT
    return _to_mask((values > 0) & (values != void))


def _decode_grey(values: np.ndarray, top: int) -> np.ndarray:
    """uint8 of greys of 8 or 16 bits. Larger values are white."""
    if top <= 255:
        return values.astype(np.uint8)
    return (values / GREY_STEP_16_BIT).round().clip(0, 255).astype(np.uint8)


def _levels(values: np.ndarray) -> np.ndarray:
    """Sorted distinct values. uint8 is counted instead of sorted, which would take seconds for large masks."""
    if values.dtype == np.uint8:
        return np.flatnonzero(Image.fromarray(values).histogram())
    return np.unique(values)


def _to_mask(where: np.ndarray) -> np.ndarray:
    return where.astype(np.uint8) * 255
