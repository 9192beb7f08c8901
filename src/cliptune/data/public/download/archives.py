"""Contents of zip and tar archives. Nothing is written outside the target folder, which appears only when complete."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from cliptune.data.public.download.disk import check_free_space, disk_errors
from cliptune.data.public.download.transfer import ProgressCallback, no_progress
from cliptune.errors import UserError

#: Names in archives that are skipped.
IGNORED = ("__MACOSX", ".DS_Store")
#: Errors raised by the archive readers; RuntimeError is an encrypted zip.
ARCHIVE_ERRORS = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def list_members(archive: Path) -> list[str]:
    """The paths of the files in an archive. Raises `UserError` if it is damaged (it is renamed to NAME.damaged)."""
    with _damage(archive):
        if _is_zip(archive):
            with zipfile.ZipFile(archive) as opened:
                return [member.filename for member in opened.infolist() if not member.is_dir()]
        with tarfile.open(archive) as opened:
            return [member.name for member in opened if not member.isdir()]


def unpack(
    archive: Path,
    folder: Path,
    progress: ProgressCallback = no_progress,
    targets: Mapping[str, str] | None = None,
) -> None:
    """Unpack `archive` into `folder`, which must not exist. Links become copies of the files they point to.

    Args:
        targets: Path of a member -> its path in `folder`, for the members to unpack; None unpacks all under their own
            paths.

    Raises:
        UserError: If the archive is damaged (it is renamed to NAME.damaged), a member is outside `folder` or not a
            file, or the disk is full. Nothing is left in `folder`.
    """
    working = folder.with_name(folder.name + ".unpacking")
    if working.exists():  # from a call that was stopped
        shutil.rmtree(working)
    try:
        with disk_errors(working):
            working.mkdir(parents=True)
        with _damage(archive):
            (_zip if _is_zip(archive) else _tar)(archive, working, progress, targets)
        with disk_errors(folder):
            os.rename(working, folder)
    finally:
        if working.exists():
            shutil.rmtree(working, ignore_errors=True)


def _is_zip(archive: Path) -> bool:
    return archive.suffix.lower() == ".zip"


@contextmanager
def _damage(archive: Path) -> Iterator[None]:
    """Rename an archive that cannot be read, and raise `UserError`."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        damaged = archive.with_name(archive.name + ".damaged")
        os.replace(archive, damaged)
        raise UserError(
            f"{archive.name} is damaged or not an archive ({str(error).splitlines()[0]}); it was renamed to {damaged}, "
            "and the same command downloads it again"
        ) from error


def _zip(archive: Path, folder: Path, progress: ProgressCallback, targets: Mapping[str, str] | None) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [member for member in opened.infolist() if targets is None or member.filename in targets]
        total = sum(member.file_size for member in members)
        check_free_space(archive.parent, total, f"the content of {archive.name}")
        done = 0
        for member in members:
            if stat.S_ISLNK(member.external_attr >> 16):
                raise UserError(
                    f"{archive} contains a link, {member.filename!r}, which an archive of images should not"
                )
            target = _inside(member.filename, folder, archive, targets)
            if target and not member.is_dir():
                _write(lambda m=member: opened.open(m), target)
            progress(f"unpacking {archive.name}", done := done + member.file_size, total)


def _tar(archive: Path, folder: Path, progress: ProgressCallback, targets: Mapping[str, str] | None) -> None:
    size = archive.stat().st_size
    check_free_space(archive.parent, size, f"the content of {archive.name}")
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as opened:
        for member in opened:
            if targets is None or member.name in targets:
                target = _inside(member.name, folder, archive, targets)
                if target and not member.isdir():
                    _write(lambda m=member: _content(opened, m, archive), target)
            progress(f"unpacking {archive.name}", raw.tell(), size)


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> IO[bytes]:
    """The content of a member; of a link, the content of its target, so that no link is created."""
    try:
        found = opened.extractfile(member)
    except KeyError:
        raise UserError(
            f"{archive} contains {member.name!r}, a link to a file outside, {member.linkname!r}; refused"
        ) from None
    if found is None:
        raise UserError(f"{archive} contains {member.name!r}, which is neither a file nor a folder; refused")
    return found


def _inside(name: str, folder: Path, archive: Path, targets: Mapping[str, str] | None) -> Path | None:
    """The target of a member; None if it is skipped. Raises `UserError` if it is outside `folder`."""
    path = PurePosixPath((targets[name] if targets else name).replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name[:2]:
        raise UserError(f"{archive} contains {name!r}, which is outside its folder; refused")
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
