"""Contact sheets: rows of small pictures with their masks and two lines of words, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cliptune.report.overlay import draw_masks
from cliptune.report.theme import GRID, INK, PAPER, QUIET

SIDE, GAP, MARGIN = 180, 12, 20
LINE = 18  # pixels from line to line


@dataclass(frozen=True)
class Tile:
    """A picture: `image` uint8 `(3, H, W)`, `masks` uint8 `(1, H, W)` each, and two lines under it."""

    image: Any
    masks: tuple[Any, ...] = ()
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class SheetSection:
    """Tiles under a heading. dim: their backgrounds are shown dark."""

    heading: str
    tiles: tuple[Tile, ...]
    dim: bool = False


def contact_sheet_png(title: str, lines: Sequence[str], sections: Sequence[SheetSection], *, columns: int = 6) -> bytes:
    """PNG of a title, lines of text and sections, `columns` tiles wide; sections without tiles are left out."""
    sections = [section for section in sections if section.tiles]
    columns = max(4, min(columns, max((len(s.tiles) for s in sections), default=1)))
    width = 2 * MARGIN + columns * SIDE + (columns - 1) * GAP
    row = SIDE + 2 * LINE + GAP + 6
    rows = [-(-len(section.tiles) // columns) for section in sections]
    top = MARGIN + 28 + LINE * len(lines) + GAP
    canvas = Image.new("RGB", (width, top + sum(n * row + 34 for n in rows) + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw_text(draw, (MARGIN, MARGIN - 4), title, 18, width - 2 * MARGIN, bold=True)
    for i, line in enumerate(lines):
        draw_text(draw, (MARGIN, MARGIN + 26 + i * LINE), line, 13, width - 2 * MARGIN, QUIET)
    for section, n in zip(sections, rows, strict=True):
        draw_text(draw, (MARGIN, top + 6), section.heading, 14, width - 2 * MARGIN, bold=True)
        for i, tile in enumerate(section.tiles):
            left, upper = MARGIN + i % columns * (SIDE + GAP), top + 32 + i // columns * row
            _draw_tile(canvas, draw, (left, upper), tile, section.dim)
        top += n * row + 34
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


def _draw_tile(canvas: Image.Image, draw: ImageDraw.ImageDraw, place: tuple[int, int], tile: Tile, dim: bool) -> None:
    left, top = place
    draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill=GRID)
    picture = Image.fromarray(draw_masks(np.asarray(tile.image), tile.masks, side=SIDE, dim=dim))
    canvas.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
    draw_text(draw, (left, top + SIDE + 3), tile.title, 13, SIDE)
    draw_text(draw, (left, top + SIDE + 3 + LINE), tile.note, 12, SIDE, QUIET)


def draw_text(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    width: int,
    colour: str = INK,
    *,
    bold: bool = False,
) -> None:
    """One line of text in `width` pixels; its middle gives way to an ellipsis where it is too long, as ends of paths
    tell most."""
    font = load_font(size, bold)
    keep = len(text)
    shown = text
    while keep > 4 and font.getlength(shown) > width:
        keep -= 1
        shown = f"{text[: keep // 3]}…{text[len(text) - (keep - keep // 3) :]}"
    draw.text(place, shown, colour, font=font)


@cache
def load_font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that a sheet looks alike everywhere."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(fonts / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size)
