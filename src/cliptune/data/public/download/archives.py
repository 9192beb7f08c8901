"""Zip and tar archives to folders: nothing lands outside, and the folder appears only when all of it is there."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO

from cliptune.data.public.download.disk import check_free_space, disk_errors
from cliptune.data.public.download.transfer import ProgressCallback
from cliptune.errors import UserError

#: What archives carry that is of no use.
IGNORED = ("__MACOSX", ".DS_Store")
#: What the readers of archives raise; a RuntimeError for an encrypted zip.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def unpack(archive: Path, folder: Path, watch: ProgressCallback = lambda what, done, total: None) -> None:
    """Unpack `archive` into `folder`, which must not exist; links become the files they lead to.

    Raises `UserError`, and leaves nothing, for a damaged archive, one whose members would land outside `folder` or are
    no files, and a full disk. A damaged archive is set aside as NAME.damaged.
    """
    working = folder.with_name(folder.name + ".unpacking")
    if working.exists():  # of a run that was stopped
        shutil.rmtree(working)
    try:
        with disk_errors(working):
            working.mkdir(parents=True)
        (_zip if archive.suffix == ".zip" else _tar)(archive, working, watch)
        with disk_errors(folder):
            os.rename(working, folder)
    except ARCHIVE_ERRORS as error:
        damaged = archive.with_name(archive.name + ".damaged")
        os.replace(archive, damaged)
        said = str(error).splitlines()[0]
        raise UserError(
            f"{archive.name} is damaged or no archive ({said}); it is now {damaged}, and the same command fetches "
            "it anew"
        ) from error
    finally:
        if working.exists():
            shutil.rmtree(working, ignore_errors=True)


def _zip(archive: Path, folder: Path, watch: ProgressCallback) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        total = sum(member.file_size for member in members)
        check_free_space(archive.parent, total, f"what is in {archive.name}")
        done = 0
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(f"{archive} holds a link, {member.filename!r}, which a zip of pictures should not")
            target = _inside(member.filename, folder, archive)
            if target and not member.is_dir():
                _write(lambda m=member: opened.open(m), target)
            watch(f"unpacking {archive.name}", done := done + member.file_size, total)


def _tar(archive: Path, folder: Path, watch: ProgressCallback) -> None:
    size = archive.stat().st_size
    check_free_space(archive.parent, size, f"what is in {archive.name}")
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as opened:
        for member in opened:
            target = _inside(member.name, folder, archive)
            if target and not member.isdir():
                _write(lambda m=member: _content(opened, m, archive), target)
            watch(f"unpacking {archive.name}", raw.tell(), size)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> IO[bytes]:
    """What a member holds; of a link, what the member that it names holds, so that no link is ever made."""
    try:
        found = opened.extractfile(member)
    except KeyError:
        raise UserError(f"{archive} holds {member.name!r}, a link out of it to {member.linkname!r}; refused") from None
    if found is None:
        raise UserError(f"{archive} holds {member.name!r}, which is neither file nor folder; refused")
    return found


def _inside(name: str, folder: Path, archive: Path) -> Path | None:
    """Where a member goes; None for clutter. Raises `UserError` for one that would land outside."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name[:2]:
        raise UserError(f"{archive} holds {name!r}, which would land outside of its folder; refused")
    return None if set(IGNORED) & set(path.parts) else folder / path


def _write(read: Callable[[], IO[bytes]], target: Path) -> None:
    with read() as source:
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("wb")
        with file:
            while block := source.read(1 << 20):
                with disk_errors(target):
                    file.write(block)
                    file.flush()
