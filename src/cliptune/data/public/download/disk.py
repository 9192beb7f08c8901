"""A folder to work in alone, and sentences for what the disk refuses."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cliptune.errors import UserError

LOCK = ".lock"


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise `UserError` where the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{what} needs {format_bytes(needed)}, but the disk of {folder} has {format_bytes(free)} free; make room"
        )


def format_bytes(size: float) -> str:
    """Bytes as people read them."""
    power = next((p for p in range(3) if size < 1000 ** (p + 1)), 3)
    size /= 1000**power
    return f"{size:.{int(power > 0 and size < 10)}f} {('bytes', 'kB', 'MB', 'GB')[power]}"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says about `path` into a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of {path.parent} is full; make room, and the same command goes on where it stopped"
            ) from error
        reason = (error.strerror or type(error).__name__).lower()
        raise UserError(f"cannot write {path}: {reason}; choose another folder with --root") from error


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and be the only process to work in it; it goes if nothing is left in it.

    Raises `UserError` if another process is there.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    with suppress(NotImplementedError):  # a file system without locks
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"another process is fetching into {folder}; wait for it") from None
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
    """The names of the files in `folder`, but for the lock."""
    return {path.name for path in folder.iterdir() if path.is_file()} - {LOCK}
