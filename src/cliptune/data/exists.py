"""Check which files of a list exist on disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cliptune.errors import UserError, os_reason


def missing_files(folder: Path, keys: Iterable[str]) -> list[str]:
    """The paths among `keys`, relative to `folder`, that do not exist; case-sensitive.

    Each directory is listed only once, so that a hundred thousand files take a fraction of a second.

    Raises:
        UserError: If a directory may not be listed.
    """
    listings: dict[str, set[str]] = {"": _list_names(folder)}

    def names(directory: str) -> set[str]:
        if directory not in listings:
            parent, _, name = directory.rpartition("/")
            listings[directory] = _list_names(folder / directory) if name in names(parent) else set()
        return listings[directory]

    return [key for key in keys if key.rpartition("/")[2] not in names(key.rpartition("/")[0])]


def _list_names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file() or entry.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise UserError(f"cannot list {folder} ({os_reason(error)}); check its permissions") from None
