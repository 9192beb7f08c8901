"""Move unpacked files into place without replacing existing ones."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from cliptune.data.public.download.disk import disk_errors
from cliptune.files import atomic_write


def find_home(unpacked: Path, marker_dir: str) -> Path | None:
    """The highest folder that contains `marker_dir`, at most three levels down; None if there is none."""
    level = [unpacked]
    for _ in range(4):
        for folder in level:
            if (folder / marker_dir).is_dir():
                return folder
        level = [inner for folder in level for inner in sorted(folder.iterdir()) if inner.is_dir()]
    return None


def merge(source: Path, target: Path, last: str = "") -> int:
    """Move a file or a folder with its content to `target`, keeping existing files.

    Args:
        source: A file or folder.
        target: Where it should be.
        last: The name in `source` to move last, because its existence marks a complete copy.

    Returns:
        The number of files that existed already.
    """
    if target.is_dir() and source.is_dir():
        last_part = Path(last).parts[:1]
        inner = sorted(source.iterdir(), key=lambda path: ((path.name,) == last_part, path.name))
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
    """`merge` across file systems."""
    if source.is_dir():
        target.mkdir()
        return merge(source, target)
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
    return 0
