"""Masks from files: one a picture, of whatever convention (DAPT-S reads SEEM's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from cliptune.errors import UserError
from cliptune.masks.base import MaskSource
from cliptune.types import Example, Picture

VOID = 255


def binarise(raw: Tensor, compat: Literal["paper", "release"] = "paper", *, index: bool = False) -> Tensor:
    """Values as read (uint8) -> float32 in [0, 1], 1 = foreground.

    {0, 1} and {0, 255} are binary, other values are soft grey. index: label-index masks (VOC), where 255 is void and
    any other label foreground. compat="release": 255 -> 0 and any value from 1 -> 1, under which a usual 0/255 mask is
    all background.
    """
    if compat == "release" or index:
        return ((raw > 0) & (raw != VOID)).float()
    return raw.float() if int(raw.max()) <= 1 else raw.float() / 255


class FolderMasks(MaskSource):
    """Masks under `root`, at the picture's relative path or file name, with its own or any PNG suffix."""

    def __init__(self, root: str | Path, compat: Literal["paper", "release"] = "paper"):
        self.root = Path(root).expanduser()
        self.compat: Literal["paper", "release"] = compat
        if not self.root.is_dir():
            raise UserError(f"no mask folder at {self.root}; check the path after folder:")

    def find(self, example: Example) -> Path | None:
        """The mask file of an example: by relative path, by class folder and name, or by name alone."""
        key = Path(example.key)
        for relative in (key, Path(*key.parts[-2:]), Path(key.name)):
            for candidate in (self.root / relative, (self.root / relative).with_suffix(".png")):
                if candidate.is_file():
                    return candidate
        return None

    def check(self, examples: Sequence[Example]) -> None:
        missing = [e.key for e in examples if self.find(e) is None]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(examples)} pictures have no mask under {self.root}, first {missing[0]}; "
                f"add them or use masks_from=gradcam"
            )

    def mask(self, example: Example, picture: Picture) -> Tensor:
        path = self.find(example)
        if path is None:
            raise UserError(f"no mask for {example.key} under {self.root}; add it or use masks_from=gradcam")
        try:
            with Image.open(path) as image:
                index = image.mode == "P"
                raw = pil_to_tensor(image if index or image.mode == "L" else image.convert("RGB"))[:1]
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            raise UserError(f"mask {path} cannot be read as an image; make it again") from None
        (height, width), (rows, columns) = raw.shape[-2:], picture.image.shape[-2:]
        if (height, width) != (rows, columns):
            raise UserError(
                f"mask {path} is {width}x{height} but its picture is {columns}x{rows} pixels; make masks at the "
                f"pictures' size"
            )
        return (binarise(raw, self.compat, index=index) * 255).round().to(torch.uint8)
