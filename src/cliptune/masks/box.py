"""Rectangles as foreground, from tables or annotations of objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cliptune.boxes import Box
from cliptune.errors import UserError
from cliptune.masks.base import Fault, MaskSource, NoMask
from cliptune.masks.boxes import Boxes, read_boxes
from cliptune.masks.read import size_of
from cliptune.types import Example, Picture


class BoxMasks(MaskSource):
    """Everything within a picture's boxes; their file or folder is `read_boxes`'s.

    Pixel coordinates count on the picture as its EXIF turns it; a picture read smaller than its file has them scaled.
    What of a box lies outside of its picture is cut off, which `faults` counts in a warning.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.boxes: Boxes = read_boxes(self.path)

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        found, beyond, lacking = list[Fault](), list[str](), list[str]()
        for example in examples:
            boxes, bad = self.boxes.of(example.key), self.boxes.fault(example.key)
            if bad and not boxes:
                found.append(Fault(example.key, "bad box", bad))
                continue
            lacking += [bad] if bad else []
            if not boxes:
                text = f"has no box in {self.path}; add one or choose another source (gradcam, data)"
                found.append(Fault(example.key, "missing", f"{example.key} {text}"))
            elif (size := self._size(example)) is not None:
                outside = [box for box in boxes if _within(box, size) is None]
                if len(outside) == len(boxes):
                    found.append(Fault(example.key, "bad box", f"{_shown(outside[0], example, size)} outside of it"))
                elif any(right > size[1] + 1 or bottom > size[0] + 1 for _, _, right, bottom in boxes):
                    beyond.append(_shown(max(boxes, key=lambda box: max(box[2:])), example, size))
        for some, said in (
            (beyond, "reach beyond them, such as {}: they are cut off; are they of pictures of another size?"),
            (lacking, "are left out beside good ones ({})"),
        ):
            if some:
                said = said.format(some[0])
                warnings.warn(f"boxes of {len(some)} of {len(examples)} pictures {said}", stacklevel=2)
        return found

    def mask(self, example: Example, picture: Picture) -> Tensor:
        found = self.boxes.of(example.key)
        if not found:
            bad = self.boxes.fault(example.key)
            raise NoMask(bad or f"no box for {example.key} in {self.path}; add one or use masks_from=gradcam")
        return drawn(found, self.boxes.normalised, example, picture)

    def _size(self, example: Example) -> tuple[int, int] | None:
        """(H, W) in which pixel coordinates count; None where there is no file, or coordinates are shares."""
        return None if self.boxes.normalised else _size_of(example)


def drawn(boxes: Sequence[Box], shares: bool, example: Example, picture: Picture) -> Tensor:
    """uint8 `(1, H, W)`: 255 within any of the boxes, which are in pixels of the example's file or, if `shares`, in
    shares of its sides."""
    height, width = picture.image.shape[-2:]
    rows, columns = (1, 1) if shares else _size_of(example) or (height, width)
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        inside = _within(
            (left / columns * width, top / rows * height, right / columns * width, bottom / rows * height),
            (height, width),
        )
        if inside is not None:
            mask[:, inside[0], inside[1]] = 255
    return mask


def _size_of(example: Example) -> tuple[int, int] | None:
    """(H, W) of the example's file, None where there is none that can be read: whoever reads the picture says it."""
    try:
        return None if example.path is None else size_of(example.path, upright=True)
    except UserError:
        return None


def _within(box: Box, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a box in pixels that lie in an image of `size` (H, W), None if none do."""
    left, top, right, bottom = (round(x) for x in box)
    rows, columns = slice(max(0, top), min(size[0], bottom)), slice(max(0, left), min(size[1], right))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _shown(box: Box, example: Example, size: tuple[int, int]) -> str:
    corners = ",".join(f"{x:g}" for x in box)
    return f"{example.key} of {size[1]}x{size[0]} pixels with the box {corners}"
