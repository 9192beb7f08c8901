"""The drawings that ship with cliptune: which classes there are, and their cut-outs by style."""

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
    """One class: its place in the atlases, its plain name, its group, "base" or "novel", and its home background."""

    tile: int
    name: str
    group: str
    split: str
    home: str


@cache
def list_sprites(classes: str) -> tuple[Sprite, ...]:
    """The classes of one list, "benchmark" or "validation": the base half first, then the novel half."""
    table = json.loads((files("cliptune.data") / "emoji" / "classes.json").read_text("utf-8"))
    start = sum(len(table[earlier]) for earlier in CLASS_LISTS[: CLASS_LISTS.index(classes)])
    return tuple(
        Sprite(start + i, row["name"], row["group"], row["split"], row["home"]) for i, row in enumerate(table[classes])
    )


@lru_cache(maxsize=len(STYLES))
def load_tiles(style: str) -> tuple[Tensor, Tensor]:
    """All cut-outs of a style, premultiplied RGBA in [0, 1]: `(n, 4, 56, 56)`, and at half size `(n, 4, 28, 28)`."""
    with (files("cliptune.data") / "emoji" / f"{style}.webp").open("rb") as file:
        sheet = np.asarray(Image.open(file).convert("RGBA"))
    rows = sheet.shape[0] // TILE_SIZE
    cut = sheet.reshape(rows, TILE_SIZE, COLUMNS, TILE_SIZE, 4).swapaxes(1, 2).reshape(-1, TILE_SIZE, TILE_SIZE, 4)
    full = premultiply_alpha(cut)
    return full, halve(full)
