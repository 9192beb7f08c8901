"""Disk space, disk errors, and exclusive use of a folder."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cliptune.errors import UserError, os_reason

LOCK = ".lock"


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise `UserError` if the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        needs, has = format_bytes(needed), format_bytes(free)
        raise UserError(f"{what} needs {needs}, but the disk of {folder} has {has} free; make room")


def format_bytes(size: float) -> str:
    """A size with a unit: "1.5 kB"."""
    power = next((p for p in range(3) if size < 1000 ** (p + 1)), 3)
    size /= 1000**power
    return f"{size:.{int(power > 0 and size < 10)}f} {('bytes', 'kB', 'MB', 'GB')[power]}"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise `UserError` instead of an `OSError` that occurs while `path` is written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of {path.parent} is full; make room, and the same command resumes where it stopped"
            ) from error
        reason = os_reason(error)
        raise UserError(f"cannot write {path}: {reason}; choose another folder with --root") from error


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Create and lock `folder`; remove it afterwards if it is empty. Raises `UserError` if another process uses it."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    with suppress(NotImplementedError):  # a file system without locks
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"another process is downloading into {folder}; wait for it to finish") from None
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):
            if not file_names(folder):
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()
                folder.parent.rmdir()


def file_names(folder: Path) -> set[str]:
    """The names of the files in `folder`, without the lock."""
    return {path.name for path in folder.iterdir() if path.is_file()} - {LOCK}
