"""Which pictures of a list are on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cliptune.errors import UserError


def missing_files(images: Path, keys: Iterable[str]) -> list[str]:
    """Those of `keys`, paths relative to `images`, at which there is no file; upper and lower case count.

    Each folder is listed once, so that a hundred thousand pictures take a fraction of a second. Raises `UserError`
    for a folder that may not be listed.
    """
    listed: dict[str, set[str]] = {"": _names(images)}

    def names(folder: str) -> set[str]:
        if folder not in listed:
            above, _, own = folder.rpartition("/")
            listed[folder] = _names(images / folder) if own in names(above) else set()
        return listed[folder]

    return [key for key in keys if key.rpartition("/")[2] not in names(key.rpartition("/")[0])]


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file() or entry.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise UserError(f"cannot look into {folder} ({error.strerror}); check its permissions") from None
