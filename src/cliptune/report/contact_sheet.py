"""Contact sheets: a grid of small images with masks and two lines of text each, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cliptune.report.overlay import draw_masks
from cliptune.report.theme import GRID, INK, PAPER, QUIET

SIDE, GAP, MARGIN = 180, 12, 20
LINE = 18  # line height in pixels


@dataclass(frozen=True)
class Tile:
    """An image, uint8 `(3, H, W)`, its masks, uint8 `(1, H, W)` each, and two lines of text below it."""

    image: Any
    masks: tuple[Any, ...] = ()
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class SheetSection:
    """Tiles under a heading. `dim` darkens their backgrounds."""

    heading: str
    tiles: tuple[Tile, ...]
    dim: bool = False


def contact_sheet_png(title: str, lines: Sequence[str], sections: Sequence[SheetSection], *, columns: int = 6) -> bytes:
    """Draw a title, lines of text and sections, `columns` tiles wide, as PNG; empty sections are omitted."""
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
    image = Image.fromarray(draw_masks(np.asarray(tile.image), tile.masks, side=SIDE, dim=dim))
    canvas.paste(image, (left + (SIDE - image.width) // 2, top + (SIDE - image.height) // 2))
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
    """Draw one line of text, shortened in the middle to `width` pixels: the ends of paths matter most."""
    font = load_font(size, bold)
    keep = len(text)
    shown = text
    while keep > 4 and font.getlength(shown) > width:
        keep -= 1
        shown = f"{text[: keep // 3]}…{text[len(text) - (keep - keep // 3) :]}"
    draw.text(place, shown, colour, font=font)


def load_font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    """The font that is bundled with matplotlib, so that sheets look the same everywhere."""
    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf")
    return ImageFont.truetype(str(fonts / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size)
