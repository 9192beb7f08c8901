"""Mask files of examples: found by the picture's path, looked over before training, read when asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.decode import image_size, match_orientation, read_mask
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.masks.source import MaskProblem
from cliptune.types import DecodedImage, Example

#: Suffixes a mask may have in place of its picture's, after PNG.
OTHER_SUFFIXES = (".PNG", ".jpg", ".jpeg", ".JPEG", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm")


def find_mask_file(root: Path, relative: Path) -> Path | None:
    """The mask of the picture `relative` in the folder `root`: the longest end of that path under which there is one.

    So masks may lie by relative path, by class folder and name, or by name alone; with the picture's suffix, as PNG,
    with "_mask" after the name, or with another picture suffix.
    """
    # A list of pictures may name them by whole paths; under those, or above `root`, a picture would be its own mask.
    parts = [part for part in relative.parts if part not in (relative.anchor, "..")]
    for start in range(len(parts)):
        place = root.joinpath(*parts[start:])
        if place.parent.is_dir():
            found = next((name for name in _candidates(place) if name.is_file()), None)
            if found:
                return found
    return None


def _candidates(place: Path) -> Iterator[Path]:
    yield place
    for stem in (place.stem, place.name, f"{place.stem}_mask"):
        yield place.with_name(f"{stem}.png")
    for suffix in OTHER_SUFFIXES:
        yield place.with_name(place.stem + suffix)


def find_file_problems(
    examples: Sequence[Example], find: Callable[[Example], Path | None], where: str, *, alone: bool = True
) -> list[MaskProblem]:
    """What headers of pictures and masks tell: masks that are missing, broken, of another shape, or (`alone`) found for
    more than one picture.

    where: where they were looked for, for the sentence.
    """
    found, users = list[MaskProblem](), dict[Path, str]()
    pictures = {example.path.absolute() for example in examples if example.path is not None}
    for example in examples:
        path = find(example)
        if path is not None and path.absolute() in pictures:  # a class may be called "mask"
            text = (
                f"{example.key} has no mask {where}, where {path} is a picture itself; choose another place or source"
            )
            found.append(MaskProblem(example.key, "missing", text))
        elif path is None:
            text = f"{example.key} has no mask {where}; add it or choose another source (gradcam, data)"
            found.append(MaskProblem(example.key, "missing", text))
        elif alone and users.setdefault(path, example.key) != example.key:
            text = (
                f"{path} is found for {users[path]} and for {example.key}; put masks into folders as the pictures are"
            )
            found.append(MaskProblem(example.key, "shared", text))
        elif fault := _shape_problem(example, path):
            found.append(fault)
    return found


def _shape_problem(example: Example, mask: Path) -> MaskProblem | None:
    try:
        shape = image_size(mask, upright=True)
    except UserError:
        return MaskProblem(example.key, "unreadable", f"mask {mask} cannot be read as an image; make it again")
    try:
        size = None if example.path is None else image_size(example.path, upright=True)
    except UserError:
        return None  # whoever reads the picture says it
    if size is None or match_orientation(shape, size, example.path) is not None:
        return None
    text = (
        f"mask {mask} is {shape[1]}x{shape[0]} but its picture is {size[1]}x{size[0]} pixels, of another shape; make "
        f"the mask from the same picture"
    )
    return MaskProblem(example.key, "wrong shape", text)


@dataclass
class MaskReader:
    """Reads mask files; what is remarkable is said of the first file alone."""

    values: PixelEncoding = field(default_factory=PixelEncoding)
    said: set[str] = field(default_factory=set)

    def read(self, path: Path, example: Example, picture: DecodedImage) -> Tensor:
        """uint8 `(1, H, W)` of the picture's size. Raises `UserError` naming the file."""
        height, width = picture.image.shape[-2:]
        mask, remark = read_mask(path, (height, width), example.path, self.values)
        # "holds ..., read as labels" or "was made ...": numbers differ from file to file.
        kind = (remark.partition("read as ")[2] or remark).split(" ")[0]
        if remark and kind not in self.said:
            self.said.add(kind)
            warnings.warn(f"mask {path} {remark}", stacklevel=2)
        return mask
