"""Masks in a folder beside the pictures': where released archives have theirs, and where ours are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.masks.base import Fault
from cliptune.masks.files import faults, under
from cliptune.masks.stored import StoredMasks
from cliptune.masks.values import Values
from cliptune.types import Example

NAMES = ("mask", "masks")
#: How many folders above a picture are looked into; the deepest of the public layouts needs five.
ABOVE = 6


class BesideMasks(StoredMasks):
    """For a picture of any depth, a mask by the end of its path: in a folder `mask` or `masks` in any folder above it,
    or in a neighbour of such a folder that is called like it with `-masks` behind.

    That covers SEEM's archive as DAPT released it (`caltech-101/mask/<class>/<name>`, `oxford_pets/mask/<name>`,
    `imagenet/mask/train/<wnid>/<name>`) and the archive of Prompt_Tuning_Datasets_with_Foreground
    (`caltech-101/mask/caltech-101/101_ObjectCategories/<class>/<name>`), whose masks are black and white.
    """

    def __init__(self, values: Values | None = None):
        super().__init__(values)
        self._there: dict[Path, tuple[Path, ...]] = {}

    def find(self, example: Example) -> Path | None:
        """The mask file of an example in the nearest folder that has one, or None."""
        if example.path is None:
            return None
        path = example.path.absolute()
        for folder in list(path.parents)[:ABOVE]:
            for masks in self._folders(folder):
                if masks in path.parents:
                    continue  # a class of that name
                found = under(masks, path.relative_to(folder))
                if found:
                    return found
        return None

    def _folders(self, folder: Path) -> tuple[Path, ...]:
        if folder not in self._there:
            places = [*(folder / name for name in NAMES), folder.parent / f"{folder.name}-masks"]
            self._there[folder] = tuple(place for place in places if place.is_dir())
        return self._there[folder]

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        return faults(examples, self.find, "in a folder mask or masks beside its folders")

    def lacking(self, example: Example) -> str:
        return (
            f"no mask for {example.key} in a folder mask or masks beside its folders; unpack the archive of masks "
            f"there, or name its folder: folder:PATH"
        )
