"""What the numbers in a mask file mean: black and white, grey, label numbers, as PNG or through JPEG's noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cliptune.errors import UserError

#: The label number that VOC and those who follow it give to pixels of no class.
VOID = 255
#: Numbers up to this one are labels rather than grey: a soft mask has some above.
LABELS = 64
#: A soft mask has more levels than this.
FEW = 16
#: The largest number that JPEG makes of zeros and ones.
FAINT = 8

#: How to say what is meant.
SAY = "if that is wrong, add ,values=grey or ,values=labels (with foreground=1 or void=0) to the path"

Kind = Literal["auto", "grey", "labels", "release", "stored"]


@dataclass(frozen=True)
class Values:
    """How numbers are read.

    kind: "auto" decides file by file (see `foreground_of`); "grey" is v / 255; "labels" is any number but 0 and `void`;
    "release" is the rule of the released DAPT, 255 -> 0 and any other from 1 -> 1, under which a usual 0/255 mask is
    all background; "stored" leaves the numbers as they are, for that rule to read later. foreground: the labels that
    alone count as such; empty for all.
    """

    kind: Kind = "auto"
    void: int = VOID
    foreground: tuple[int, ...] = ()


def knobs(text: str) -> tuple[str, Values]:
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
    if kind not in ("auto", "grey", "labels") or (len(held) > ("values" in held) and kind != "labels"):
        raise UserError(f"masks cannot be read with values={kind} in {text!r}; it is auto, grey or labels (void, too)")
    try:
        void = int(held.get("void", VOID))
        foreground = tuple(int(number) for number in held.get("foreground", "").split("+") if number)
        if not all(0 <= number <= 255 for number in (void, *foreground)):
            raise ValueError
    except ValueError:
        raise UserError(f"labels of masks are numbers from 0 to 255: void=255, foreground=1+3; got {text!r}") from None
    return path, Values(kind, void, foreground)  # type: ignore[arg-type]


def foreground_of(numbers: np.ndarray, values: Values, *, palette: bool = False, noisy: bool = False):
    """`(foreground, remark)` of the numbers `(H, W)` uint8 of a file: uint8 in 0..255, and what was not obvious, or "".

    palette: they are indexes into colours. noisy: they were JPEG-coded. Of what is left to decide ("auto"), colours are
    labels; one level above 0, whatever it is, is foreground ({0, 1}, {0, 255}, {0, 254}, {0, 15}); several small
    numbers are labels, which is remarked, as are a few larger ones; anything else is grey. JPEG's noise around two
    levels is cut in the middle.
    """
    if values.kind == "release":
        remark = ""
        if not ((numbers > 0) & (numbers < VOID)).any() and numbers.max() == VOID:
            remark = "holds 0 and 255 alone, all background to the release's rule; folder: reads it as meant"
        return _cut((numbers > 0) & (numbers != VOID)), remark
    if values.kind == "labels":
        return _labels(numbers, values), ""
    if values.kind in ("grey", "stored"):
        return numbers, ""
    top = int(numbers.max())
    levels = np.unique(numbers)
    levels = levels[levels > 0]
    if noisy and top <= FAINT:
        return _cut(numbers > 0), ""
    if noisy:
        level = np.median(numbers[numbers > top / 2])
        if np.mean((numbers <= level / 8) | (abs(numbers - level) <= level / 8)) >= 0.9:
            return _cut(numbers > level / 2), ""
    if len(levels) <= 1:
        return _cut(numbers > 0), ""
    inner = int(levels[levels != VOID].max())
    if palette:
        return _labels(numbers, values), ""
    if inner <= LABELS:
        how = f"holds small numbers up to {inner}, read as labels: all but 0 are foreground"
        return _labels(numbers, values), f"{how}{', 255 is void' if top == VOID else ''}; {SAY}"
    shown = f"holds {len(levels)} levels ({', '.join(map(str, levels))}), read as grey; {SAY}"
    return numbers, shown if len(levels) <= FEW else ""


def _labels(numbers: np.ndarray, values: Values) -> np.ndarray:
    if values.foreground:
        return _cut(np.isin(numbers, values.foreground))
    return _cut((numbers > 0) & (numbers != values.void))


def _cut(where: np.ndarray) -> np.ndarray:
    return where.astype(np.uint8) * 255
