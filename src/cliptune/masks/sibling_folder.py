"""Masks in a folder beside the pictures': where released archives have theirs, and where ours are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.masks.file_masks import FileMasks
from cliptune.masks.files import find_file_problems, find_mask_file
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.masks.source import MaskProblem
from cliptune.types import Example

FOLDER_NAMES = ("mask", "masks")
#: How many folders above a picture are looked into; the deepest of the public layouts needs five.
MAX_PARENTS = 6


class SiblingFolderMasks(FileMasks):
    """For a picture of any depth, a mask by the end of its path: in a folder `mask` or `masks` in any folder above it,
    or in a neighbour of such a folder that is called like it with `-masks` behind.

    That covers SEEM's archive as DAPT released it (`caltech-101/mask/<class>/<name>`, `oxford_pets/mask/<name>`,
    `imagenet/mask/train/<wnid>/<name>`) and the archive of Prompt_Tuning_Datasets_with_Foreground
    (`caltech-101/mask/caltech-101/101_ObjectCategories/<class>/<name>`), whose masks are black and white.
    """

    def __init__(self, values: PixelEncoding | None = None):
        super().__init__(values)
        self._there: dict[Path, tuple[Path, ...]] = {}

    def find(self, example: Example) -> Path | None:
        """The mask file of an example in the nearest folder that has one, or None."""
        if example.path is None:
            return None
        path = example.path.absolute()
        for folder in list(path.parents)[:MAX_PARENTS]:
            for masks in self._folders(folder):
                if masks in path.parents:
                    continue  # a class of that name
                found = find_mask_file(masks, path.relative_to(folder))
                if found:
                    return found
        return None

    def _folders(self, folder: Path) -> tuple[Path, ...]:
        if folder not in self._there:
            places = [*(folder / name for name in FOLDER_NAMES), folder.parent / f"{folder.name}-masks"]
            self._there[folder] = tuple(place for place in places if place.is_dir())
        return self._there[folder]

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return find_file_problems(examples, self.find, "in a folder mask or masks beside its folders")

    def lacking(self, example: Example) -> str:
        return (
            f"no mask for {example.key} in a folder mask or masks beside its folders; unpack the archive of masks "
            f"there, or name its folder: folder:PATH"
        )
