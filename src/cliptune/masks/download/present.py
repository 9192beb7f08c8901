"""The masks that images have already, as `--masks-from beside` finds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.errors import UserError
from cliptune.masks.download.content import HEADERS, spread
from cliptune.masks.download.images import MaskedImages
from cliptune.masks.download.record import MaskRecord, read_record
from cliptune.types import Example


@dataclass(frozen=True)
class PlacedMasks:
    """The masks of a dataset: their folder, their record (None if they come from elsewhere), and remarks."""

    folder: Path
    record: MaskRecord | None
    remarks: tuple[str, ...] = ()


def find_present(images: MaskedImages, source: str) -> PlacedMasks | None:
    """The masks that the images have already, or None.

    Raises `UserError` if there are masks of another source, or of a part of the images.
    """
    record = read_record(images.folder)
    if record is not None:
        if record.source != source:
            raise UserError(
                f"{images.folder} has masks from the archive {record.source}; move this folder away to download those "
                f"from {source}"
            )
        return PlacedMasks(images.folder, record, ("already there",))
    sample = spread(images.splits["train"], HEADERS)
    found = _beside(sample)
    if len(found) == len(sample):
        return PlacedMasks(found[0].parent, None, (f"masks from elsewhere are already there, such as {found[0]}",))
    if images.folder.exists():
        raise UserError(
            f"{images.folder} exists already, with masks of {len(found):,} of {len(sample):,} sampled training images; "
            f"move this folder away, and repeat the command"
        )
    return None


def find_hiding(images: MaskedImages) -> list[str]:
    """A remark if other masks are found before those in the images' folder of masks."""
    found = _beside(spread(images.splits["train"], HEADERS))
    others = [path for path in found if images.folder not in path.parents]
    return [f"--masks-from beside finds other masks first, such as {others[0]}; move these away"] if others else []


def _beside(examples: Sequence[Example]) -> list[Path]:
    """The masks of examples next to the images, of those that have one."""
    from cliptune.masks.sibling_folder import SiblingFolderMasks

    source = SiblingFolderMasks()
    return [path for path in map(source.find, examples) if path is not None]
