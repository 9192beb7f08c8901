"""Archives of masks on this machine: placed by hand, or downloaded from the hub or from the authors of DAPT."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cliptune.data.public.download import FETCHED, DownloadOptions
from cliptune.data.public.download.disk import check_free_space, disk_errors, file_names, format_bytes
from cliptune.data.public.download.transfer import NotAvailable, ProgressCallback, fetch
from cliptune.errors import UserError
from cliptune.masks.download.hub_folder import FOLDER, ListedArchive, file_url, hub_url, list_archives
from cliptune.masks.download.naming import ARCHIVE, SEPARATOR, archives_of, dataset_names, identify

#: Sources of masks. "foreground": Prompt_Tuning_Datasets_with_Foreground on the Hugging Face hub. "seem": the archive
#: of DAPT.
MaskArchive = Literal["foreground", "seem"]
#: The archive of SEEM masks that the authors of DAPT link to. They publish no digest.
SEEM_ID = "12BDM8X3ZynLVNqmkAMEvxVMk7vU9ILzv"
SEEM_PAGE = f"https://drive.google.com/file/d/{SEEM_ID}/view"
SEEM_URL = f"https://drive.usercontent.google.com/download?id={SEEM_ID}&export=download&confirm=t"


def archive_folder(root: Path, source: MaskArchive) -> Path:
    """Where archives of masks are downloaded to, or placed by hand."""
    return root / "downloads" / f"masks-{source}"


def listed_for(name: str, options: DownloadOptions[MaskArchive]) -> list[ListedArchive]:
    """The archives on the hub that may contain masks of a dataset. Raises `NotAvailable`."""
    hub = hub_url(options.mirror)
    listed = {archive.path.removeprefix(FOLDER).lstrip("/"): archive for archive in list_archives(hub)}
    chosen = archives_of(name, list(listed))
    if not chosen:
        raise NotAvailable(f"{hub} has no archive of masks of {name} in {FOLDER}, but {', '.join(listed)}")
    return [listed[path] for path in chosen]


def local_archives(
    name: str, folder: Path, options: DownloadOptions[MaskArchive], progress: ProgressCallback
) -> dict[Path, str]:
    """Archives that may contain masks of a dataset, with their digests ("" if unknown), downloaded if necessary.

    Archives that were placed in `folder` by hand are used instead of a download.

    Raises:
        NotAvailable: If an archive cannot be downloaded.
        UserError: If the disk is full or cannot be written.
    """
    by_hand = [file for file in file_names(folder) if ARCHIVE.fullmatch(file) and not _is_fetched(folder / file)]
    if chosen := archives_of(name, sorted(by_hand)):
        return {folder / file: "" for file in chosen}
    with _by_hand(folder, options):
        if options.source == "seem":
            return {_fetch(options.mirror or SEEM_URL, folder / "seem.zip", "", 0, progress): ""}
        archives = listed_for(name, options)
        return {_fetch_parts(a, folder, options, progress): "+".join(f.digest for f in a.files) for a in archives}


def remove_archives(folder: Path, name: str = "") -> None:
    """Remove downloaded archives, only those of the dataset `name` if it is given."""
    for marker in [file for file in file_names(folder) if file.endswith(FETCHED)] if folder.is_dir() else []:
        archive = marker.removesuffix(FETCHED)
        ours = _is_fetched(folder / archive) or not (folder / archive).exists()
        if ours and (not name or identify(archive, dataset_names()) == name):
            (folder / archive).unlink(missing_ok=True)
            (folder / marker).unlink()


def _fetch_parts(
    archive: ListedArchive, folder: Path, options: DownloadOptions[MaskArchive], progress: ProgressCallback
) -> Path:
    """Download an archive from the hub; its parts are joined."""
    target, hub = folder / _flat(archive.path), hub_url(options.mirror)
    if len(archive.files) == 1 and archive.files[0].path == archive.path:
        (file,) = archive.files
        return _fetch(file_url(hub, file.path), target, file.digest, file.size, progress)
    digest = "+".join(file.digest for file in archive.files)
    if _is_current(target, digest):
        return target
    parts = [
        _fetch(file_url(hub, file.path), folder / _flat(file.path), file.digest, file.size, progress)
        for file in archive.files
    ]
    joining = target.with_name(target.name + ".joining")
    check_free_space(folder, archive.size, archive.path)
    with disk_errors(target):
        _marker(target).write_text(digest, encoding="utf-8")
        with joining.open("wb") as joined:
            for part in parts:
                with part.open("rb") as content:
                    shutil.copyfileobj(content, joined, 1 << 20)
        os.replace(joining, target)
        for part in parts:
            part.unlink()
            _marker(part).unlink()
    return target


def _fetch(url: str, target: Path, digest: str, size: int, progress: ProgressCallback) -> Path:
    """Download a file unless it is there. digest, size: "" and 0 if unknown."""
    if _is_current(target, digest):
        return target
    with disk_errors(target):
        _marker(target).write_text(digest, encoding="utf-8")
    try:
        fetch(url, target, digest=digest, progress=progress)
    finally:
        if not (target.exists() or _part(target).exists()):
            _marker(target).unlink()  # the same name may be placed by hand
    found = target.stat().st_size
    if size and found != size:
        target.unlink()
        _marker(target).unlink()
        raise NotAvailable(f"{target.name} has {format_bytes(found)}, expected {format_bytes(size)}; it was removed")
    return target


def _is_current(target: Path, digest: str) -> bool:
    """Whether a file was downloaded completely, and is still the one that the hub lists; an older one is removed."""
    if not target.exists():
        return False
    marker = _marker(target)
    if not digest or (marker.is_file() and marker.read_text(encoding="utf-8") == digest):
        return True
    target.unlink()
    return False


def _is_fetched(archive: Path) -> bool:
    """Whether an archive was downloaded. One next to its own partial download was placed there by hand."""
    return _marker(archive).exists() and not _part(archive).exists()


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _marker(target: Path) -> Path:
    """The file that marks a downloaded archive, as opposed to one placed by hand; it contains the digest."""
    return target.with_name(target.name + FETCHED)


def _flat(path: str) -> str:
    """A file name for a path on the hub."""
    return path.removeprefix(FOLDER).lstrip("/").replace("/", SEPARATOR)


@contextmanager
def _by_hand(folder: Path, options: DownloadOptions[MaskArchive]) -> Iterator[None]:
    """Add the ways out to the message if a server does not have an archive."""
    try:
        yield
    except NotAvailable as error:
        page = f"{SEEM_PAGE} in a browser" if options.source == "seem" else "it from another place"
        raise UserError(
            f"{error}; use --mirror URL for another server, or download {page}, put the archive (zip or tar) "
            f"into {folder} and repeat the command"
        ) from error
