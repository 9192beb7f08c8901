"""Masks that come with the data: mask files and boxes that the dataset names, exact masks of sprites, transparency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cliptune.masks.box import find_boxes_outside, rasterize_boxes
from cliptune.masks.files import MaskReader, find_file_problems
from cliptune.masks.source import MaskProblem, MaskSource, MissingMaskError
from cliptune.types import DecodedImage, Example


class DataMasks(MaskSource):
    """The mask file that the dataset names for an image, else its boxes, else the mask that reading the image gave."""

    def __init__(self):
        self.reader = MaskReader()

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        def find(example: Example) -> Path | None:
            return example.mask if example.mask is not None and example.mask.is_file() else None

        with_file = [e for e in examples if e.mask is not None]
        with_boxes = [(e, e.boxes) for e in examples if e.mask is None and not e.shares]
        problems = find_file_problems(with_file, find, "where the dataset says it is", unique=False)
        return problems + find_boxes_outside(with_boxes)

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        if example.mask is not None:
            return self.reader.read(example.mask, example, image)
        if example.boxes:
            return rasterize_boxes(example.boxes, example.shares, example, image)
        return transparency(example, image)


class AlphaMasks(MaskSource):
    """The image's transparency, even where there are mask files."""

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        return transparency(example, image)


def transparency(example: Example, image: DecodedImage) -> Tensor:
    """The mask that reading the image gave. Raises `MissingMaskError` if there is none."""
    if image.mask is None:
        raise MissingMaskError(
            f"{example.path or example.key} has no mask (no transparency, no mask file); choose another source: "
            f"folder:PATH or gradcam"
        )
    return image.mask
