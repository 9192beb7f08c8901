"""What the numbers in a mask file mean: black and white, grey, labels, trimaps, as PNG or through JPEG's noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from cliptune.errors import UserError

#: The label number that VOC and those who follow it give to pixels of no class; the last one of 16 bits likewise.
VOID_8_BIT, VOID_16_BIT = 255, 65535
#: What one grey level of eight bits is in 16.
GREY_STEP_16_BIT = 257
#: Trimaps, such as those of Oxford Pets, hold these numbers and no other.
TRIMAP_FOREGROUND, TRIMAP_BACKGROUND, TRIMAP_BORDER = 1, 2, 3
#: Numbers up to this one are labels rather than grey: a soft mask has some above.
MAX_LABEL = 64
#: A soft mask has more levels than this.
MAX_LISTED_LEVELS = 16
#: The largest number that JPEG makes of zeros and ones.
MAX_JPEG_OF_BINARY = 8

#: How to say what is meant.
OVERRIDE_HINT = "if that is wrong, add ,values=grey or ,values=labels (with foreground=1 or void=0) to the path"
USER_KINDS = ("auto", "grey", "labels", "trimap")

EncodingKind = Literal["auto", "grey", "labels", "trimap", "release", "stored"]


@dataclass(frozen=True)
class PixelEncoding:
    """How numbers are read.

    kind: "auto" decides file by file (see `foreground_of`); "grey" is v / 255, or v / 65535; "labels" is any number but
    0 and `void`; "trimap" is 1 foreground, 2 background, 3 border, which is no foreground; "release" is the rule of the
    released DAPT, 255 -> 0 and any other from 1 -> 1, under which a usual 0/255 mask is all background; "stored" leaves
    the numbers as they are, for that rule to read later. void: by default 255, or 65535 where there are numbers above
    255. foreground: the labels that alone count as such; empty for all.
    """

    kind: EncodingKind = "auto"
    void: int | None = None
    foreground: tuple[int, ...] = ()


def parse_path_options(text: str) -> tuple[str, PixelEncoding]:
    """A path and how its masks are read, from `PATH,values=labels,void=255,foreground=1+3`; each knob may be left out.

    `void` and `foreground` speak of labels, so they imply `values=labels`. Raises `UserError` for a value of the wrong
    kind.
    """
    path, held = text, dict[str, str]()
    while True:
        rest, comma, knob = path.rpartition(",")
        name, equals, value = knob.partition("=")
        if not (comma and equals and name.strip() in ("values", "void", "foreground")):
            break
        path, held[name.strip()] = rest, value.strip()
    kind = held.get("values", "labels" if held else "auto")
    if kind not in USER_KINDS or (len(held) > ("values" in held) and kind != "labels"):
        raise UserError(
            f"masks cannot be read with values={kind} in {text!r}; it is auto, grey, labels (void, too) or trimap"
        )
    try:
        void = int(held["void"]) if "void" in held else None
        foreground = tuple(int(number) for number in held.get("foreground", "").split("+") if number)
        if not all(0 <= number < 1 << 32 for number in (void or 0, *foreground)):
            raise ValueError
    except ValueError:
        raise UserError(f"labels of masks are numbers from 0: void=255, foreground=1+3; got {text!r}") from None
    return path, PixelEncoding(kind, void, foreground)  # type: ignore[arg-type]


def decode_foreground(numbers: np.ndarray, values: PixelEncoding, *, palette: bool = False, noisy: bool = False):
    """`(foreground, remark)` of the whole numbers `(H, W)` of a file, from 0: uint8 in 0..255, and what was not
    obvious, or "".

    palette: they are indexes into colours. noisy: they were JPEG-coded. Of what is left to decide ("auto"), colours are
    labels; one level above 0, whatever it is, is foreground ({0, 1}, {0, 255}, {0, 254}, {0, 15}); 1, 2 and 3 without 0
    are a trimap and several small numbers are labels, which is remarked, as are a few larger ones; anything else is
    grey. JPEG's noise around two levels is cut in the middle. Numbers above 255 are grey where they are the 256 greys
    in 16 bits, or are many and use the whole range; else they are labels.
    """
    if values.kind == "release":
        remark = ""
        if not ((numbers > 0) & (numbers < VOID_8_BIT)).any() and numbers.max() == VOID_8_BIT:
            remark = "holds 0 and 255 alone, all background to the release's rule; folder: reads it as meant"
        return _to_mask((numbers > 0) & (numbers != VOID_8_BIT)), remark
    if values.kind == "labels":
        return _decode_labels(numbers, values), ""
    if values.kind == "stored":
        return numbers, ""
    if values.kind == "trimap":
        return _to_mask(numbers == TRIMAP_FOREGROUND), ""
    top = int(numbers.max())
    if values.kind == "grey":
        return _decode_grey(numbers, top), ""
    levels = _levels(numbers)
    if top > 255 and not palette and top <= VOID_16_BIT:
        if not (levels % GREY_STEP_16_BIT).any():
            numbers, levels, top = _decode_grey(numbers, top), levels // GREY_STEP_16_BIT, top // GREY_STEP_16_BIT
        elif len(levels) > 256 and top > 0.9 * VOID_16_BIT:
            return _decode_grey(numbers, top), ""
    lowest = int(levels[0])
    levels = levels[levels > 0]
    if noisy and top <= MAX_JPEG_OF_BINARY:
        return _to_mask(numbers > 0), ""
    if noisy:
        level = np.median(numbers[numbers > top / 2])
        if np.mean((numbers <= level / 8) | (abs(numbers - level) <= level / 8)) >= 0.9:
            return _to_mask(numbers > level / 2), ""
    if len(levels) <= 1:
        return _to_mask(numbers > 0), ""
    inner = int(levels[levels != VOID_8_BIT].max())
    if palette:
        return _decode_labels(numbers, values), ""
    if lowest >= TRIMAP_FOREGROUND and top <= TRIMAP_BORDER:
        held = " and ".join(map(str, levels))
        return _to_mask(numbers == TRIMAP_FOREGROUND), (
            f"holds {held} without 0, read as trimap: 1 is foreground, 2 background, 3 border; {OVERRIDE_HINT}"
        )
    if top > VOID_8_BIT:
        how = f"holds {len(levels):,} numbers up to {top:,}, read as labels: all but 0 are foreground"
        return _decode_labels(
            numbers, values
        ), f"{how}{', 65535 is void' if top == VOID_16_BIT else ''}; {OVERRIDE_HINT}"
    if inner <= MAX_LABEL:
        how = f"holds small numbers up to {inner}, read as labels: all but 0 are foreground"
        return _decode_labels(numbers, values), f"{how}{', 255 is void' if top == VOID_8_BIT else ''}; {OVERRIDE_HINT}"
    shown = f"holds {len(levels)} levels ({', '.join(map(str, levels))}), read as grey; {OVERRIDE_HINT}"
    return numbers, shown if len(levels) <= MAX_LISTED_LEVELS else ""


def _decode_labels(numbers: np.ndarray, values: PixelEncoding) -> np.ndarray:
    if values.foreground:
        return _to_mask(np.isin(numbers, values.foreground))
    void = values.void if values.void is not None else VOID_8_BIT if numbers.max() <= VOID_8_BIT else VOID_16_BIT
    return _to_mask((numbers > 0) & (numbers != void))


def _decode_grey(numbers: np.ndarray, top: int) -> np.ndarray:
    """uint8 of greys of eight or 16 bits; more than that is white."""
    if top <= 255:
        return numbers.astype(np.uint8)
    return (numbers / GREY_STEP_16_BIT).round().clip(0, 255).astype(np.uint8)


def _levels(numbers: np.ndarray) -> np.ndarray:
    """Sorted distinct numbers; of bytes without sorting all of them, which takes seconds for large masks."""
    if numbers.dtype == np.uint8:
        return np.flatnonzero(Image.fromarray(numbers).histogram())
    return np.unique(numbers)


def _to_mask(where: np.ndarray) -> np.ndarray:
    return where.astype(np.uint8) * 255
