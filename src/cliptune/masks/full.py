"""No mask at all: everything is foreground. The control."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.masks.source import MaskSource
from cliptune.types import DecodedImage, Example


class FullMasks(MaskSource):
    """255 everywhere."""

    whole = True

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        return torch.full((1, *picture.image.shape[-2:]), 255, dtype=torch.uint8)
