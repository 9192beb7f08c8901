"""Masks that come with the data: exact ones of drawings, transparency (alpha) of picture files."""

from __future__ import annotations

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.base import MaskSource
from cliptune.types import Example, Picture


class DataMasks(MaskSource):
    """The mask that reading the picture gave."""

    def mask(self, example: Example, picture: Picture) -> Tensor:
        if picture.mask is None:
            raise UserError(
                f"{example.path or example.key} brings no mask (no transparency, no mask file); choose another "
                f"source: folder:PATH or gradcam"
            )
        return picture.mask
