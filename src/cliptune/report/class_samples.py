"""Sample images of each class with their masks, as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cliptune.report.contact_sheet import draw_text, load_font
from cliptune.report.overlay import draw_masks
from cliptune.report.theme import GRID, PAPER, QUIET

HEIGHT, GAP, APART, MARGIN = 132, 6, 26, 24
NAME, SMALL, LINE = 15, 13, 19
SHAPE = 4 / 3  # preferred aspect ratio of the page
WIDEST = 2400


@dataclass(frozen=True)
class ClassSamples:
    """A class: its name, a remark in grey, and (image, mask) pairs: uint8 `(3, H, W)`, uint8 `(1, H, W)` or None."""

    name: str
    remark: str
    images: tuple[tuple[Any, Any], ...]


def class_samples_png(title: str, lines: Sequence[str], blocks: Sequence[ClassSamples]) -> bytes:
    """Draw the classes as PNG, in as many columns as gives an aspect ratio near `SHAPE`; images keep theirs."""
    cell = _cell_width(blocks)
    each = max(len(block.images) for block in blocks)
    wide = each * (cell + GAP) - GAP
    names = [_wrap_name(block.name, wide) for block in blocks]
    columns = _num_columns(len(blocks), wide + APART, LINE + HEIGHT + APART)
    rows = [range(i, min(i + columns, len(blocks))) for i in range(0, len(blocks), columns)]
    heads = [LINE * max(len(names[i]) for i in row) + 6 for row in rows]  # rows of short names have one line
    width = max(2 * MARGIN + columns * (wide + APART) - APART, 480)
    top = MARGIN + 30 + len(lines) * LINE + 12
    page = Image.new("RGB", (width, top + sum(heads) + len(rows) * (HEIGHT + APART) - APART + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    draw_text(draw, (MARGIN, MARGIN - 4), title, 20, width - 2 * MARGIN, bold=True)
    for i, line in enumerate(lines):
        draw_text(draw, (MARGIN, MARGIN + 28 + i * LINE), line, SMALL, width - 2 * MARGIN, QUIET)
    for row, head in zip(rows, heads, strict=True):
        for column, i in enumerate(row):
            left = MARGIN + column * (wide + APART)
            _draw_name(draw, (left, top + head - 6 - LINE * len(names[i])), names[i], blocks[i].remark, wide)
            for j, (image, mask) in enumerate(blocks[i].images):
                _paste_image(page, (left + j * (cell + GAP), top + head), cell, image, mask)
        top += head + HEIGHT + APART
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def _cell_width(blocks: Sequence[ClassSamples]) -> int:
    """Width of the cell of an image: by the median aspect ratio of all images, within limits."""
    aspects = [np.shape(image)[2] / np.shape(image)[1] for block in blocks for image, _ in block.images]
    return round(HEIGHT * float(np.clip(np.median(aspects), 0.7, 1.6)))


def _num_columns(count: int, wide: int, tall: int) -> int:
    possible = [n for n in range(1, count + 1) if n * wide <= WIDEST] or [1]

    def off(n: int) -> float:
        rows = -(-count // n)
        return abs(math.log(n * wide / (rows * tall) / SHAPE)) + 0.3 * (rows * n - count) / count

    return min(possible, key=off)


def _wrap_name(name: str, width: int) -> list[str]:
    """Break a name into at most two lines of `width` pixels."""
    font, words, first = load_font(NAME, True), name.split(" "), ""
    while words and font.getlength(f"{first} {words[0]}".strip()) <= width:
        first = f"{first} {words.pop(0)}".strip()
    return [line for line in (first, " ".join(words)) if line]


def _draw_name(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str], remark: str, width: int
) -> None:
    left, top = place
    for i, line in enumerate(lines):
        draw_text(draw, (left, top + i * LINE), line, NAME, width, bold=True)
    used = math.ceil(load_font(NAME, True).getlength(lines[-1])) + 8
    if used + load_font(SMALL, False).getlength(remark) <= width:
        draw_text(draw, (left + used, top + (len(lines) - 1) * LINE + 2), remark, SMALL, width, QUIET)


def _paste_image(page: Image.Image, place: tuple[int, int], cell: int, image: Any, mask: Any) -> None:
    """Paste an image into the centre of its cell, as large as fits."""
    height, width = np.shape(image)[1:]
    side = max(2, round(max(height, width) * min(HEIGHT / height, cell / width)))
    masks = () if mask is None else (mask,)
    shown = Image.fromarray(draw_masks(np.asarray(image), masks, side=side, dim=True))
    left, top = place[0] + (cell - shown.width) // 2, place[1] + (HEIGHT - shown.height) // 2
    if shown.size != (cell, HEIGHT):
        ImageDraw.Draw(page).rectangle((*place, place[0] + cell - 1, place[1] + HEIGHT - 1), fill=GRID)
    page.paste(shown, (left, top))
