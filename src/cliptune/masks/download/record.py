"""The record of downloaded masks, a JSON file in their folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import read_text, write_json
from cliptune.text import listed

#: Name of the file. Masks are found by the names of images, so it is never taken for one.
RECORD = "downloaded.json"
#: Words for splits in messages.
SPLITS = {"train": "training", "val": "validation", "test": "test"}


class IncompleteMasksError(UserError):
    """Masks are in their place, but some training images have none."""


@dataclass(frozen=True)
class MaskRecord:
    """Where masks come from, and which images have one.

    Args:
        source: "foreground" or "seem".
        archives: File name -> digest ("" if unknown).
        images: Split -> number of images.
        masks: Split -> number of those with a mask.
        missing: The first training images without one.
        remarks: What the check of a sample found, and what was left out.
    """

    source: str
    archives: Mapping[str, str]
    images: Mapping[str, int]
    masks: Mapping[str, int]
    missing: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def counts(self) -> str:
        """The numbers of masks and of images in words."""
        splits = [split for split in SPLITS if split in self.images]
        parts = [f"{self.masks[split]:,} of {self.images[split]:,} {SPLITS[split]}" for split in splits]
        return f"masks of {', '.join(parts)} images"

    def check_complete(self, folder: Path) -> None:
        """Raise `IncompleteMasksError` if training images have no mask."""
        left = self.images["train"] - self.masks["train"]
        if left:
            raise IncompleteMasksError(
                f"{self.counts()} are in {folder}, so {left:,} training images have none, such as "
                f"{listed(self.missing, 3)}; --masks-from beside --skip-bad trains without these images"
            )


def write_record(folder: Path, record: MaskRecord) -> None:
    """Write the record into a folder of masks."""
    write_json(folder / RECORD, asdict(record))


def read_record(folder: Path) -> MaskRecord | None:
    """The record in a folder of masks; None if there is none, or it is damaged."""
    if not (folder / RECORD).is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(read_text(folder / RECORD))
        content |= {name: tuple(content[name]) for name in ("missing", "remarks")}
        return MaskRecord(**content)
    except (ValueError, TypeError, KeyError):
        return None
