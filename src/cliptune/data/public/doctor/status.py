"""Records of the state of public datasets on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: "incomplete": images are missing. "no split": the split file or the dataset's own lists are missing. "wrong layout":
#: the dataset has another name or depth. "unreadable": no permission. "absent": nothing was found.
Condition = Literal["ready", "incomplete", "no split", "wrong layout", "unreadable", "absent"]


@dataclass(frozen=True)
class ImageCount:
    """Number of expected images, number found, and the paths of the first missing ones."""

    expected: int
    found: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFile:
    """The split file, the first 12 digits of its SHA-256, and whether it is the published file (None: unknown)."""

    file: Path
    sha256: str
    known: bool | None


@dataclass(frozen=True)
class MaskCount:
    """Masks of training images in the folder where the released archive has them."""

    folder: Path
    expected: int
    found: int


@dataclass(frozen=True)
class DatasetStatus:
    """The state of one dataset. fix: what to do, "" if nothing. notes: remarks that prevent nothing."""

    name: str
    title: str
    status: Condition
    fix: str = ""
    layout: str | None = None
    home: Path | None = None
    pictures: ImageCount | None = None  # the key in the output of `data check --format json`
    split: SplitFile | None = None
    masks: MaskCount | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RootStatus:
    """The states of all datasets under a root. fix: what to do about the root itself, "" if it is a root."""

    root: Path
    reports: tuple[DatasetStatus, ...]
    fix: str = ""
