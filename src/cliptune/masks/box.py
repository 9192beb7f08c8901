"""Rectangles as foreground, from tables or annotations of objects."""

from __future__ import annotations

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
from cliptune.user_warnings import warn_user


class BoxMasks(MaskSource):
    """Everything inside an image's boxes is foreground. `path` is a file or folder that `read_boxes` reads.

    Pixel coordinates refer to the image as its EXIF orientation turns it. They are scaled if the image was read at a
    smaller size than its file has, and boxes are clipped to the image.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.boxes: BoxTable = read_boxes(self.path)

    @classmethod
    def from_spec(cls, argument: str, seed: int) -> BoxMasks:
        return cls(argument)

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        problems, skipped = list[MaskProblem](), list[str]()
        for example in examples:
            boxes, invalid = self.boxes.boxes_of(example.key), self.boxes.problem(example.key)
            if boxes:
                skipped += [invalid] if invalid else []
            elif invalid:
                problems.append(MaskProblem(example.key, "bad box", invalid))
            else:
                text = f"has no box in {self.path}; add one or choose another source (gradcam, data)"
                problems.append(MaskProblem(example.key, "missing", f"{example.key} {text}"))
        if skipped:
            warn_user(
                f"invalid boxes of {len(skipped)} of {len(examples)} images are skipped, their valid ones are used "
                f"({skipped[0]})"
            )
        if self.boxes.normalized:
            return problems
        return problems + find_boxes_outside([(e, self.boxes.boxes_of(e.key)) for e in examples])

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        boxes = self.boxes.boxes_of(example.key)
        if not boxes:
            missing = f"no box for {example.key} in {self.path}; add one or use masks_from=gradcam"
            raise MissingMaskError(self.boxes.problem(example.key) or missing)
        return rasterize_boxes(boxes, self.boxes.normalized, example, image)


def find_boxes_outside(pairs: Sequence[tuple[Example, Sequence[Box]]]) -> list[MaskProblem]:
    """Problems of examples whose boxes, in pixels, are all outside their image.

    Warns with the number of images that boxes exceed by more than a pixel.
    """
    problems, exceeding = list[MaskProblem](), list[str]()
    for example, boxes in pairs:
        if not boxes or example.path is None:
            continue
        try:
            size = image_size(example.path)
        except UserError:
            continue  # reading the image reports it
        if all(_pixel_slices(box, size) is None for box in boxes):
            text = f"{_describe_box(boxes[0], example, size)} has no pixel inside it; correct the box or remove it"
            problems.append(MaskProblem(example.key, "bad box", text))
        elif any(right > size[1] + 1 or bottom > size[0] + 1 for _, _, right, bottom in boxes):
            exceeding.append(_describe_box(max(boxes, key=lambda box: max(box[2:])), example, size))
    if exceeding:
        warn_user(
            f"boxes of {len(exceeding)} of {len(pairs)} images exceed them and are clipped, for example "
            f"{exceeding[0]}; are they for images of another size?"
        )
    return problems


def rasterize_boxes(boxes: Sequence[Box], normalized: bool, example: Example, image: DecodedImage) -> Tensor:
    """uint8 `(1, H, W)` of the image's size, 255 inside any of the boxes.

    normalized: Boxes are fractions of width and height. Otherwise they are in pixels of the example's file.
    """
    height, width = image.image.shape[-2:]
    rows, columns = (1, 1)
    if not normalized:
        rows, columns = (height, width) if example.path is None else image_size(example.path)
    mask = torch.zeros(1, height, width, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        scaled = left / columns * width, top / rows * height, right / columns * width, bottom / rows * height
        inside = _pixel_slices(scaled, (height, width))
        if inside is not None:
            mask[:, inside[0], inside[1]] = 255
    return mask


def _pixel_slices(box: Box, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of a box in pixels, clipped to an image of `size` (H, W); None if nothing is left."""
    left, top, right, bottom = (round(x) for x in box)
    rows, columns = slice(max(0, top), min(size[0], bottom)), slice(max(0, left), min(size[1], right))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _describe_box(box: Box, example: Example, size: tuple[int, int]) -> str:
    corners = ",".join(f"{x:g}" for x in box)
    return f"{example.key} of {size[1]}x{size[0]} pixels with the box {corners}"
