"""Mask files of examples: lookup by the image's path, checks before training, reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.decode import image_size, match_orientation, read_mask
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.masks.source import MaskProblem
from cliptune.types import DecodedImage, Example
from cliptune.user_warnings import warn_user

#: Suffixes that a mask may have in place of its image's, tried after PNG.
OTHER_SUFFIXES = (".PNG", ".jpg", ".jpeg", ".JPEG", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm")


def find_mask_file(root: Path, relative: Path) -> Path | None:
    """The mask of the image `relative` in the folder `root`, at the longest possible end of that path, or None.

    Masks may be sorted by relative path, by class folder and name, or by name alone. A mask has the image's suffix,
    the suffix .png (also after the image's suffix or after "_mask"), or another image suffix.
    """
    # A list of images may have absolute paths. Under those, or above `root`, an image would be its own mask.
    parts = [part for part in relative.parts if part not in (relative.anchor, "..")]
    for start in range(len(parts)):
        path = root.joinpath(*parts[start:])
        if path.parent.is_dir():
            found = next((name for name in _candidates(path) if name.is_file()), None)
            if found:
                return found
    return None


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    for stem in (path.stem, path.name, f"{path.stem}_mask"):
        yield path.with_name(f"{stem}.png")
    for suffix in OTHER_SUFFIXES:
        yield path.with_name(path.stem + suffix)


def find_file_problems(
    examples: Sequence[Example], find: Callable[[Example], Path | None], where: str, *, unique: bool = True
) -> list[MaskProblem]:
    """Problems of mask files, from their headers: missing, unreadable, of another shape than the image, or (`unique`)
    found for more than one image.

    Args:
        find: Returns the mask file of an example, or None.
        where: Where masks are searched, for the messages.
    """
    problems, users = list[MaskProblem](), dict[Path, str]()
    images = {example.path.absolute() for example in examples if example.path is not None}
    for example in examples:
        key, path = example.key, find(example)
        if path is not None and path.absolute() in images:  # a class may be called "mask"
            text = f"{key} has no mask {where}, where {path} is an image itself; choose another place or source"
            problems.append(MaskProblem(key, "missing", text))
        elif path is None:
            text = f"{key} has no mask {where}; add it or choose another source (gradcam, data)"
            problems.append(MaskProblem(key, "missing", text))
        elif unique and users.setdefault(path, key) != key:
            text = f"{path} is found for {users[path]} and for {key}; sort masks into the same folders as the images"
            problems.append(MaskProblem(key, "shared", text))
        elif problem := _shape_problem(example, path):
            problems.append(problem)
    return problems


def _shape_problem(example: Example, mask: Path) -> MaskProblem | None:
    try:
        shape = image_size(mask)
    except UserError:
        return MaskProblem(example.key, "unreadable", f"mask {mask} cannot be read as an image; make it again")
    try:
        size = None if example.path is None else image_size(example.path)
    except UserError:
        return None  # reading the image reports it
    if size is None or match_orientation(shape, size, example.path) is not None:
        return None
    text = (
        f"mask {mask} is {shape[1]}x{shape[0]} but its image is {size[1]}x{size[0]} pixels, of another shape; make the "
        f"mask from the same image"
    )
    return MaskProblem(example.key, "wrong shape", text)


@dataclass
class MaskReader:
    """Reads mask files. Warns of each kind of remark once, for the first file.

    Args:
        encoding: What pixel values mean.
        warned: Kinds of remarks that were warned of.
    """

    encoding: PixelEncoding = field(default_factory=PixelEncoding)
    warned: set[str] = field(default_factory=set)

    def read(self, path: Path, example: Example, image: DecodedImage) -> Tensor:
        """The mask, uint8 `(1, H, W)` of the image's size. Raises `UserError` naming the file."""
        height, width = image.image.shape[-2:]
        mask, remark = read_mask(path, (height, width), example.path, self.encoding)
        # Values in the remark differ from file to file, so its kind is the reading ("contains ..., read as labels") or
        # its first word ("was made ...").
        kind = (remark.partition("read as ")[2] or remark).split(" ")[0]
        if remark and kind not in self.warned:
            self.warned.add(kind)
            warn_user(f"mask {path} {remark}")
        return mask
