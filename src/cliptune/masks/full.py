"""Masks that are foreground everywhere: the control."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.masks.source import MaskSource
from cliptune.types import DecodedImage, Example


class FullMasks(MaskSource):
    """255 everywhere."""

    whole = True

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        return torch.full((1, *image.image.shape[-2:]), 255, dtype=torch.uint8)
