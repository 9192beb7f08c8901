"""Masks that come with the data: mask files it names, exact masks of drawings, transparency of picture files."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cliptune.masks.box import find_boxes_outside, rasterize_boxes
from cliptune.masks.files import MaskReader, find_file_problems
from cliptune.masks.source import MaskProblem, MaskSource, MissingMaskError
from cliptune.types import DecodedImage, Example


class DataMasks(MaskSource):
    """The mask file that the dataset names for a picture, or its boxes, or the mask that reading the picture gave."""

    def __init__(self):
        self.reader = MaskReader()

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        named = [e for e in examples if e.mask is not None]

        def find(example: Example):
            return example.mask if example.mask is not None and example.mask.is_file() else None

        boxed = [(e, e.boxes) for e in examples if e.mask is None and not e.shares]
        return find_file_problems(named, find, "where the dataset says it is", alone=False) + find_boxes_outside(boxed)

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        if example.mask is not None:
            return self.reader.read(example.mask, example, picture)
        if example.boxes:
            return rasterize_boxes(example.boxes, example.shares, example, picture)
        return transparency(example, picture)


class AlphaMasks(MaskSource):
    """The picture's transparency, whatever mask files there are."""

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        return transparency(example, picture)


def transparency(example: Example, picture: DecodedImage) -> Tensor:
    """The mask that reading the picture gave. Raises `NoMask` naming a picture that brings none."""
    if picture.mask is None:
        raise MissingMaskError(
            f"{example.path or example.key} brings no mask (no transparency, no mask file); choose another "
            f"source: folder:PATH or gradcam"
        )
    return picture.mask
