"""Twenty-four named procedural backgrounds. The same name and seed give the same pixels."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cliptune.data.emoji import places as places
from cliptune.data.emoji import textures as textures
from cliptune.data.emoji.painting import Canvas
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

PAINTERS: dict[str, Callable[[np.random.Generator, int], Canvas]] = {
    "sky": textures.sky,
    "cloud": textures.cloud,
    "sunset": textures.sunset,
    "night sky": textures.night_sky,
    "grass": textures.grass,
    "sand": textures.sand,
    "snow": textures.snow,
    "water": textures.water,
    "sea": places.sea,
    "lake": places.lake,
    "forest": places.forest,
    "mountain": places.mountain,
    "rock": textures.rock,
    "brick wall": textures.brick_wall,
    "wood": textures.wood,
    "building": places.building,
    "city": places.city,
    "road": places.road,
    "street": places.street,
    "railway": places.railway,
    "bridge": places.bridge,
    "keyboard": textures.keyboard,
    "house": places.house,
    "fabric": textures.fabric,
}
BACKGROUND_NAMES: tuple[str, ...] = tuple(PAINTERS)


def keyed_generator(*key: int | str) -> np.random.Generator:
    """A random generator keyed by numbers and words. Philox is the same on every machine and NumPy version."""
    text = "\x1f".join(str(part) for part in key).encode()
    return np.random.Generator(np.random.Philox(key=[zlib.crc32(text), zlib.adler32(text)]))


@lru_cache(maxsize=4096)
def paint_background(name: str, seed: int, size: int = 96) -> Tensor:
    """Paint background `name`, variant `seed`: uint8 `(3, size, size)`.

    The result is cached and must not be modified. Raises `UserError` for a name that is not in `BACKGROUND_NAMES`.
    """
    import torch

    if name not in PAINTERS:
        raise UserError(f"no background is called {name!r}: choose one of {', '.join(BACKGROUND_NAMES)}")
    # The key is part of the dataset's definition: another word would give other pixels.
    canvas = PAINTERS[name](keyed_generator("scenery", name, seed), size)
    pixels = np.round(canvas.clip(0, 1) * 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
