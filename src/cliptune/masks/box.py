"""Rectangles as foreground, from tables or annotations of objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cliptune.boxes import Box
from cliptune.errors import UserError
from cliptune.masks.box_table import BoxTable, read_boxes
from cliptune.masks.decode import image_size
from cliptune.masks.source import MaskProblem, MaskSource, MissingMaskError
from cliptune.types import DecodedImage, Example


class BoxMasks(MaskSource):
    """Everything within a picture's boxes; their file or folder is `read_boxes`'s.

    Pixel coordinates count on the picture as its EXIF turns it; a picture read smaller than its file has them scaled.
    What of a box lies outside of its picture is cut off.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.boxes: BoxTable = read_boxes(self.path)

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        found, lacking = list[MaskProblem](), list[str]()
        for example in examples:
            boxes, bad = self.boxes.of(example.key), self.boxes.fault(example.key)
            if boxes:
                lacking += [bad] if bad else []
            elif bad:
                found.append(MaskProblem(example.key, "bad box", bad))
            else:
                text = f"has no box in {self.path}; add one or choose another source (gradcam, data)"
                found.append(MaskProblem(example.key, "missing", f"{example.key} {text}"))
        if lacking:
            warnings.warn(
                f"boxes of {len(lacking)} of {len(examples)} pictures are left out beside good ones ({lacking[0]})",
                stacklevel=2,
            )
        shares = self.boxes.normalised
        return found + ([] if shares else find_boxes_outside([(e, self.boxes.of(e.key)) for e in examples]))

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        found = self.boxes.of(example.key)
        if not found:
            bad = self.boxes.fault(example.key)
            raise MissingMaskError(bad or f"no box for {example.key} in {self.path}; add one or use masks_from=gradcam")
        return rasterize_boxes(found, self.boxes.normalised, example, picture)


def find_boxes_outside(pairs: Sequence[tuple[Example, Sequence[Box]]]) -> list[MaskProblem]:
    """Faults of examples whose boxes, in pixels, all lie outside of their files' images.

    Warns with a count of those that reach beyond by more than a pixel.
    """
    found, beyond = list[MaskProblem](), list[str]()
    for example, boxes in pairs:
        if not boxes or example.path is None:
            continue
        try:
            size = image_size(example.path, upright=True)
        except UserError:
            continue  # whoever reads the picture says it
        if all(_pixel_slices(box, size) is None for box in boxes):
            text = f"{_describe_box(boxes[0], example, size)} shows nothing within it; correct the box or remove it"
            found.append(MaskProblem(example.key, "bad box", text))
        elif any(right > size[1] + 1 or bottom > size[0] + 1 for _, _, right, bottom in boxes):
            beyond.append(_describe_box(max(boxes, key=lambda box: max(box[2:])), example, size))
    if beyond:
        warnings.warn(
            f"boxes of {len(beyond)} of {len(pairs)} pictures reach beyond them, such as {beyond[0]}: they are cut "
            f"off; are they of pictures of another size?",
            stacklevel=3,
        )
    return found


def rasterize_boxes(boxes: Sequence[Box], shares: bool, example: Example, picture: DecodedImage) -> Tensor:
    """uint8 `(1, H, W)`: 255 within any of the boxes, which are in pixels of the example's file or, if `shares`, in
    shares of its sides."""
    height, width = picture.image.shape[-2:]
    rows, columns = (1, 1)
    if not shares:
        rows, columns = (height, width) if example.path is None else image_size(example.path, upright=True)
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        scaled = left / columns * width, top / rows * height, right / columns * width, bottom / rows * height
        inside = _pixel_slices(scaled, (height, width))
        if inside is not None:
            mask[:, inside[0], inside[1]] = 255
    return mask


def _pixel_slices(box: Box, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a box in pixels that lie in an image of `size` (H, W), None if none do."""
    left, top, right, bottom = (round(x) for x in box)
    rows, columns = slice(max(0, top), min(size[0], bottom)), slice(max(0, left), min(size[1], right))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _describe_box(box: Box, example: Example, size: tuple[int, int]) -> str:
    corners = ",".join(f"{x:g}" for x in box)
    return f"{example.key} of {size[1]}x{size[0]} pixels with the box {corners}"
