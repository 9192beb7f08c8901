"""Inputs of the last visual block, which saliency maps are computed from, kept for the next maps of the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import xxhash
from torch import Tensor

from cliptune.types import Prompts

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel

#: Bytes that `LastInputs` keeps.
MAX_BYTES = 512 << 20


@torch.no_grad()
def last_input(model: TunedModel, images: Tensor, prompts: Prompts) -> Tensor:
    """Input `(b, 1 + patches + n, width)` of the last visual block for normalised `images` `(b, 3, H, W)`.

    prompts: Those of the model for these images (`TunedModel.prompts_for`).
    """
    return model.backbone.image_tower.before_last(images, prompts)


class LastInputs:
    """`last_input` by batch of images, where nothing learned enters the image tower.

    Training then changes saliency maps through the class features alone.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[object, bytes], Tensor] = {}
        self._bytes_left = MAX_BYTES

    def __getstate__(self) -> dict[str, Any]:
        """State for a worker process, which reads masks and computes no maps."""
        return {"_kept": {}, "_bytes_left": self._bytes_left}

    def get(self, model: TunedModel, images: Tensor) -> Tensor:
        """The input for a batch, computed once while there is room."""
        key = model.backbone, xxhash.xxh3_128(images.cpu().contiguous().numpy().reshape(-1).data).digest()
        if key in self._kept:
            return self._kept[key]
        x = last_input(model, images, Prompts())
        if (size := x.numel() * x.element_size()) <= self._bytes_left:
            self._kept[key] = x
            self._bytes_left -= size
        return x
