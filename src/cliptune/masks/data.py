"""Masks that come with the data: mask files it names, exact masks of drawings, transparency of picture files."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cliptune.masks.base import Fault, MaskSource, NoMask
from cliptune.masks.box import drawn, outside
from cliptune.masks.files import Reader, faults
from cliptune.types import Example, Picture


class DataMasks(MaskSource):
    """The mask file that the dataset names for a picture, or its boxes, or the mask that reading the picture gave."""

    def __init__(self):
        self.reader = Reader()

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        named = [e for e in examples if e.mask is not None]

        def find(example: Example):
            return example.mask if example.mask is not None and example.mask.is_file() else None

        boxed = [(e, e.boxes) for e in examples if e.mask is None and not e.shares]
        return faults(named, find, "where the dataset says it is", alone=False) + outside(boxed)

    def mask(self, example: Example, picture: Picture) -> Tensor:
        if example.mask is not None:
            return self.reader.read(example.mask, example, picture)
        if example.boxes:
            return drawn(example.boxes, example.shares, example, picture)
        return transparency(example, picture)


class AlphaMasks(MaskSource):
    """The picture's transparency, whatever mask files there are."""

    def mask(self, example: Example, picture: Picture) -> Tensor:
        return transparency(example, picture)


def transparency(example: Example, picture: Picture) -> Tensor:
    """The mask that reading the picture gave. Raises `NoMask` naming a picture that brings none."""
    if picture.mask is None:
        raise NoMask(
            f"{example.path or example.key} brings no mask (no transparency, no mask file); choose another "
            f"source: folder:PATH or gradcam"
        )
    return picture.mask
