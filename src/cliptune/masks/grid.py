"""Random grids, hide-and-seek: what the released DAPT generates under the name `dapt-s`."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from cliptune.masks.source import MaskSource
from cliptune.types import DecodedImage, Example

#: Sizes a cell may have, in pixels, in the order the release draws from.
CELL_SIZES = (32, 16)


def cell_size(generator: Generator | None, cells: Sequence[int] = CELL_SIZES) -> int:
    """One of `cells`, by `torch.randint` as the release draws it."""
    return cells[int(torch.randint(0, len(cells), (1,), generator=generator))]


def grid_mask(height: int, width: int, cell: int, rng: random.Random) -> Tensor:
    """uint8 `(1, height, width)` of 0 and 1: each cell, first axis outer, is hidden if `rng.random() <= 0.5`."""
    mask = torch.ones(1, height, width, dtype=torch.uint8)
    for top in range(0, height, cell):
        for left in range(0, width, cell):
            if rng.random() <= 0.5:
                mask[:, top : top + cell, left : left + cell] = 0
    return mask


class GridMasks(MaskSource):
    """A grid of its own for every picture, another one each epoch."""

    changes = True

    def __init__(self, seed: int = 0, epoch: int = 0):
        self.seed, self.epoch = seed, epoch

    def for_epoch(self, epoch: int) -> GridMasks:
        return GridMasks(self.seed, epoch)

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        rng = random.Random(zlib.crc32(f"{self.seed}/{self.epoch}/{example.key}".encode()))
        height, width = picture.image.shape[-2:]
        # Cells of the release are 1/7 or 1/14 of its 224 pixels; other sizes keep the proportion.
        cell = max(1, round(rng.choice(CELL_SIZES) / 224 * min(height, width)))
        return grid_mask(height, width, cell, rng) * 255
