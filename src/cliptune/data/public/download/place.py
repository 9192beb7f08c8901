"""Unpacked files to where they belong; what is there already stays."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from cliptune.data.public.download.disk import disk_errors
from cliptune.files import atomic_write


def find_home(unpacked: Path, sign: str) -> Path | None:
    """The folder that holds `sign`, at the top or up to three folders down; the highest one."""
    level = [unpacked]
    for _ in range(4):
        for folder in level:
            if (folder / sign).is_dir():
                return folder
        level = [inner for folder in level for inner in sorted(folder.iterdir()) if inner.is_dir()]
    return None


def merge(source: Path, target: Path, last: str = "") -> int:
    """Move a file, or a folder with all that is in it, to `target`; the number of files that were there and stay.

    last: the name in `source` that is moved after the others, as its presence says that they are there.
    """
    if target.is_dir() and source.is_dir():
        first = Path(last).parts[:1]
        inner = sorted(source.iterdir(), key=lambda path: ((path.name,) == first, path.name))
        return sum(merge(path, target / path.name) for path in inner)
    if target.exists() or target.is_symlink():
        return 1
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _copy(source, target)
    return 0


def _copy(source: Path, target: Path) -> int:
    """To another disk, where a folder is linked there."""
    if source.is_dir():
        target.mkdir()
        return merge(source, target)
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
    return 0
