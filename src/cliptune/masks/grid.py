"""Random grids, hide-and-seek: the masks that the released DAPT generates under the name `dapt-s`."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cliptune.masks.source import MaskSource
from cliptune.types import DecodedImage, Example

#: Cell sizes in pixels, in the order the release draws from.
CELL_SIZES = (32, 16)


def cell_size(generator: Generator | None, cells: Sequence[int] = CELL_SIZES) -> int:
    """One of `cells`, drawn with `torch.randint` as in the release."""
    return cells[int(torch.randint(0, len(cells), (1,), generator=generator))]


def grid_mask(height: int, width: int, cell: int, rng: random.Random) -> Tensor:
    """uint8 `(1, height, width)` of 0 and 1. Each cell, in row-major order, is hidden if `rng.random() <= 0.5`."""
    mask = torch.ones(1, height, width, dtype=torch.uint8)
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            if rng.random() <= 0.5:
                mask[:, top : top + cell, left : left + cell] = 0
    return mask


@dataclass(frozen=True)
class GridMasks(MaskSource):
    """A random grid per image and epoch."""

    seed: int = 0
    epoch: int = 0
    changes = True

    @classmethod
    def from_spec(cls, argument: str, seed: int) -> GridMasks:
        return cls(seed)

    def for_epoch(self, epoch: int) -> GridMasks:
        return GridMasks(self.seed, epoch)

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        rng = random.Random(zlib.crc32(f"{self.seed}/{self.epoch}/{example.key}".encode()))
        height, width = image.image.shape[-2:]
        # In the release, cells are 1/7 or 1/14 of 224 pixels. Other image sizes keep the proportion.
        cell = max(1, round(rng.choice(CELL_SIZES) / 224 * min(height, width)))
        return grid_mask(height, width, cell, rng) * 255
