"""The built-in sprites: their classes, and their tiles by style."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cliptune.data.emoji.compositing import halve, premultiply_alpha

if TYPE_CHECKING:
    from torch import Tensor

TILE_SIZE = 56
COLUMNS = 12
STYLES: tuple[str, ...] = ("fluent-3d", "fluent-flat", "noto")
CLASS_LISTS: tuple[str, ...] = ("benchmark", "validation")


@dataclass(frozen=True)
class Sprite:
    """One class: its position in the atlases, name, group, split ("base" or "novel") and home background."""

    tile: int
    name: str
    group: str
    split: str
    home: str


@cache
def list_sprites(classes: str) -> tuple[Sprite, ...]:
    """The classes of one list, "benchmark" or "validation": first the base half, then the novel half."""
    table = json.loads((files("cliptune.data") / "emoji" / "classes.json").read_text("utf-8"))
    start = sum(len(table[earlier]) for earlier in CLASS_LISTS[: CLASS_LISTS.index(classes)])
    return tuple(
        Sprite(start + i, row["name"], row["group"], row["split"], row["home"]) for i, row in enumerate(table[classes])
    )


@lru_cache(maxsize=len(STYLES))
def load_tiles(style: str) -> tuple[Tensor, Tensor]:
    """All sprites of a style, premultiplied RGBA in [0, 1]: `(n, 4, 56, 56)`, and at half size `(n, 4, 28, 28)`."""
    with (files("cliptune.data") / "emoji" / f"{style}.webp").open("rb") as file:
        atlas = np.asarray(Image.open(file).convert("RGBA"))
    rows = atlas.shape[0] // TILE_SIZE
    tiles = atlas.reshape(rows, TILE_SIZE, COLUMNS, TILE_SIZE, 4).swapaxes(1, 2).reshape(-1, TILE_SIZE, TILE_SIZE, 4)
    full = premultiply_alpha(tiles)
    return full, halve(full)
