"""Records of what is on disk of public datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: "incomplete": pictures are missing. "no split": the split file, or the dataset's own lists, are. "wrong layout": it
#: is there under another name or at another depth. "unreadable": permissions. "absent": nothing of it was found.
Condition = Literal["ready", "incomplete", "no split", "wrong layout", "unreadable", "absent"]


@dataclass(frozen=True)
class ImageCount:
    """How many pictures there are to be, how many of them are there, and the first of those that are not."""

    expected: int
    found: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitFile:
    """The split file; `sha256` is its first 12 digits, `known` whether they are the published file's (None: nobody
    knows those)."""

    file: Path
    sha256: str
    known: bool | None


@dataclass(frozen=True)
class MaskCount:
    """Masks of training pictures in the folder where the released archive has them."""

    folder: Path
    expected: int
    found: int


@dataclass(frozen=True)
class DatasetStatus:
    """One dataset. `fix` is what to do, "" if nothing; `notes` are remarks that keep nothing from running."""

    name: str
    title: str
    status: Condition
    fix: str = ""
    layout: str | None = None
    home: Path | None = None
    pictures: ImageCount | None = None
    split: SplitFile | None = None
    masks: MaskCount | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RootStatus:
    """All reports on a root; `fix` is what to do about the root itself, "" if it is one."""

    root: Path
    reports: tuple[DatasetStatus, ...]
    fix: str = ""
