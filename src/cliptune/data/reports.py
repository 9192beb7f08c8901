"""Records of what is on disk of public datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

#: "incomplete": pictures are missing. "no split": the split file, or the dataset's own lists, are. "wrong layout": it
#: is there under another name or at another depth. "unreadable": permissions. "absent": nothing of it was found.
Status = Literal["ready", "incomplete", "no split", "wrong layout", "unreadable", "absent"]


@dataclass(frozen=True)
class Pictures:
    """How many pictures there are to be, how many of them are there, and the first of those that are not."""

    expected: int
    found: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """The split file; `sha256` is its first 12 digits, `known` whether they are the published file's (None: nobody
    knows those)."""

    file: Path
    sha256: str
    known: bool | None


@dataclass(frozen=True)
class Masks:
    """Masks of training pictures in the folder where the released archive has them."""

    folder: Path
    expected: int
    found: int


@dataclass(frozen=True)
class Report:
    """One dataset. `fix` is what to do, "" if nothing; `notes` are remarks that keep nothing from running."""

    name: str
    title: str
    status: Status
    fix: str = ""
    layout: str | None = None
    home: Path | None = None
    pictures: Pictures | None = None
    split: Split | None = None
    masks: Masks | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Survey:
    """All reports on a root; `fix` is what to do about the root itself, "" if it is one."""

    root: Path
    reports: tuple[Report, ...]
    fix: str = ""
