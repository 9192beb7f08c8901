"""Masks in a folder next to the images, where released archives unpack and where `masks make` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.masks.file_masks import FileMasks
from cliptune.masks.files import find_file_problems, find_mask_file
from cliptune.masks.folder import FolderMasks
from cliptune.masks.pixel_encoding import PixelEncoding, parse_path_options
from cliptune.masks.source import MaskProblem, MaskSource
from cliptune.types import Example

FOLDER_NAMES = ("mask", "masks")
#: Number of parent folders of an image that are searched. The deepest public layout needs five.
MAX_PARENTS = 6


class SiblingFolderMasks(FileMasks):
    """Mask files in a folder `mask` or `masks` inside any parent folder of the image, or in a sibling of such a parent
    that has its name with the suffix `-masks`. A file is found by the end of the image's path (`find_mask_file`).

    This covers the archive of SEEM masks released with DAPT (`caltech-101/mask/<class>/<name>`,
    `oxford_pets/mask/<name>`, `imagenet/mask/train/<wnid>/<name>`) and the archive of
    Prompt_Tuning_Datasets_with_Foreground (`caltech-101/mask/caltech-101/101_ObjectCategories/<class>/<name>`), whose
    masks are black and white.
    """

    def __init__(self, encoding: PixelEncoding | None = None):
        super().__init__(encoding)
        self._mask_folders: dict[Path, tuple[Path, ...]] = {}

    def find(self, example: Example) -> Path | None:
        """The mask file of an example in the nearest folder that has one, or None."""
        if example.path is None:
            return None
        path = example.path.absolute()
        for parent in list(path.parents)[:MAX_PARENTS]:
            for masks in self._folders(parent):
                if masks in path.parents:
                    continue  # a class called "mask"
                found = find_mask_file(masks, path.relative_to(parent))
                if found:
                    return found
        return None

    def _folders(self, parent: Path) -> tuple[Path, ...]:
        if parent not in self._mask_folders:
            candidates = [*(parent / name for name in FOLDER_NAMES), parent.parent / f"{parent.name}-masks"]
            self._mask_folders[parent] = tuple(folder for folder in candidates if folder.is_dir())
        return self._mask_folders[parent]

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return find_file_problems(examples, self.find, "in a folder mask or masks next to the images")

    def missing_message(self, example: Example) -> str:
        return (
            f"no mask for {example.key} in a folder mask or masks next to the images; unpack the archive of masks "
            f"there, or name its folder: folder:PATH; cliptune data download masks has those of the benchmarks"
        )


class SeemMasks(SiblingFolderMasks):
    """The archive of SEEM masks, decoded by the rule of the released DAPT: next to the images, or in a folder."""

    @classmethod
    def from_spec(cls, argument: str, seed: int) -> MaskSource:
        encoding = PixelEncoding("release")
        # Options after the path have no effect: the rule of the release leaves nothing to choose.
        return FolderMasks(parse_path_options(argument)[0], encoding) if argument else cls(encoding)
