"""Rectangles as foreground, from tables or annotations of objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cliptune.boxes import Box
from cliptune.masks.base import Fault, MaskSource, NoMask
from cliptune.masks.boxes import Boxes, read_boxes
from cliptune.masks.read import size_of
from cliptune.types import Example, Picture


class BoxMasks(MaskSource):
    """Everything within a picture's boxes; their file or folder is `read_boxes`'s.

    Pixel coordinates count on the picture as its EXIF turns it; a picture read smaller than its file has them scaled.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.boxes: Boxes = read_boxes(self.path)

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        text = f"has no box in {self.path}; add one or choose another source (gradcam, data)"
        return [Fault(e.key, "missing", f"{e.key} {text}") for e in examples if not self.boxes.of(e.key)]

    def mask(self, example: Example, picture: Picture) -> Tensor:
        found = self.boxes.of(example.key)
        if not found:
            raise NoMask(f"no box for {example.key} in {self.path}; add one or use masks_from=gradcam")
        return drawn(found, self.boxes.normalised, example, picture)


def drawn(boxes: Sequence[Box], shares: bool, example: Example, picture: Picture) -> Tensor:
    """uint8 `(1, H, W)`: 255 within any of the boxes, which are in pixels of the example's file or, if `shares`, in
    shares of its sides."""
    height, width = picture.image.shape[-2:]
    rows, columns = (1, 1)
    if not shares:
        rows, columns = (height, width) if example.path is None else size_of(example.path, upright=True)
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        across, down = (
            (round(x / columns * width) for x in (left, right)),
            (round(y / rows * height) for y in (top, bottom)),
        )
        mask[:, slice(*(max(0, y) for y in down)), slice(*(max(0, x) for x in across))] = 255
    return mask
