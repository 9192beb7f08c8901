"""Download public datasets into the CoOp layout under a root.

Partial files, archives and unpacked files are in ROOT/downloads/NAME until they are complete and moved to their place.
The next call recognizes the result of each finished step there, so it resumes where an earlier one stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from cliptune.data import public
from cliptune.data.public.common.recipe import Recipe, RemoteFile
from cliptune.data.public.common.spec import DatasetSpec, find_split, short_sha256
from cliptune.data.public.doctor.check import check_dataset
from cliptune.data.public.doctor.status import DatasetStatus
from cliptune.data.public.download.archives import unpack
from cliptune.data.public.download.collection import fetch_archive
from cliptune.data.public.download.disk import exclusive_folder, file_names
from cliptune.data.public.download.place import find_home, merge
from cliptune.data.public.download.transfer import NotAvailable, ProgressCallback, fetch, no_progress
from cliptune.data.split_file import read_split_file
from cliptune.errors import UserError

#: Sources of datasets. "archive": the collection on the Hugging Face hub. "original": the archives on the dataset's own
#: site.
Source = Literal["archive", "original"]
#: The sources that a download can choose from: `Source`, or those of masks.
AnySource = TypeVar("AnySource", bound=str, covariant=True)
#: Suffix of the empty files that mark downloaded archives, as opposed to archives provided by the user.
FETCHED = ".fetched"


@dataclass(frozen=True)
class DownloadOptions(Generic[AnySource]):
    """Source of a download of images or masks, and whether to keep the archives."""

    source: AnySource
    mirror: str = ""
    """Another server: a hub; for "original", a folder on a server that has the archives under their file names; for
    masks from "seem", the URL of the archive."""
    keep: bool = False
    """Keep the archives, which are in a subfolder of ROOT/downloads."""


@dataclass(frozen=True)
class _Download:
    """One dataset to download."""

    spec: DatasetSpec
    root: Path
    options: DownloadOptions[Source]
    progress: ProgressCallback

    @property
    def recipe(self) -> Recipe:
        return self.spec.recipe

    @property
    def home(self) -> Path:
        return self.root / self.spec.home

    @property
    def folder(self) -> Path:
        return self.root / "downloads" / self.spec.name


def dataset_status(name: str, root: Path) -> DatasetStatus:
    """The status of a dataset on disk, without opening its images."""
    return check_dataset(public.classes()[name], root, sample=False)


def original_url(remote: RemoteFile, options: DownloadOptions[Source]) -> str:
    """The URL of a file of an original site, or of the mirror."""
    return f"{options.mirror.rstrip('/')}/{remote.file_name}" if options.mirror else remote.url


def select_source(spec: DatasetSpec, options: DownloadOptions[Source], root: Path) -> Source:
    """Choose the source of a dataset. Raises `UserError` with the manual steps if it cannot be downloaded."""
    if options.source == "archive" and spec.recipe.collected:
        return "archive"
    if not spec.recipe.remote_files:
        raise UserError(spec.recipe.manual_steps.format(root=root))
    return "original"


def download(
    name: str, root: Path, options: DownloadOptions[Source], progress: ProgressCallback = no_progress
) -> tuple[DatasetStatus, list[str]]:
    """Download a dataset into `root`, unless it is complete there. Existing files are never changed.

    Returns:
        Its status, and remarks.

    Raises:
        UserError: If it cannot be downloaded, or is incomplete afterwards.
    """
    spec = public.specs()[name]
    job = _Download(spec, root, options, progress)
    status = dataset_status(name, root)
    if is_complete(status, spec):
        if job.folder.is_dir():  # an earlier call was stopped before it cleaned up
            with exclusive_folder(job.folder):
                _clean_up(job, 0)
        return status, ["already there"]
    if status.status in ("wrong layout", "unreadable"):  # one command instead of gigabytes
        raise UserError(f"{status.title} is there, but {status.fix}")
    source = select_source(spec, options, root)
    with exclusive_folder(job.folder):
        remarks = []
        needs_split = source == "original" or status.status == "no split"  # the collection's archive has the split
        if needs_split and job.recipe.split and find_split(spec, root) is None:
            remarks += _download_split(job, job.recipe.split)
        if not is_complete(dataset_status(name, root), spec):
            remarks += _download_collected(job) if source == "archive" else _download_original(job)
        status = dataset_status(name, root)
    if not is_complete(status, spec):
        raise UserError("; ".join([_incomplete_message(status, spec), *remarks]))
    return status, remarks


def _download_collected(job: _Download) -> list[str]:
    unpacked = job.folder / "unpacked"
    if not unpacked.exists():
        existing = file_names(job.folder)
        names = [job.spec.home, *job.recipe.aliases]
        with _alternatives("--from original uses the dataset's own site" * bool(job.recipe.remote_files), job.folder):
            archive = fetch_archive(names, job.folder, hub=job.options.mirror, progress=job.progress)
        if archive.name not in existing:
            _mark_fetched(archive)
        unpack(archive, unpacked, job.progress)
    home = find_home(unpacked, job.spec.marker_dir)
    if home is None:
        raise _unknown_archive(job, job.spec.marker_dir, [unpacked])
    return _clean_up(job, merge(home, job.home, last=job.spec.marker_dir))


def _download_original(job: _Download) -> list[str]:
    unpacked = []
    for remote in job.recipe.remote_files:
        archive, folder = job.folder / remote.file_name, job.folder / f"{remote.file_name}.unpacked"
        if not folder.exists():
            if not archive.exists():  # neither downloaded by an earlier call nor provided by the user
                _fetch(job, remote)
                _mark_fetched(archive)
            unpack(archive, folder, job.progress)
        unpacked.append(folder)
        if (folder / remote.inner_archive).is_file():
            unpacked.append(job.folder / f"{Path(remote.inner_archive).name}.unpacked")
            if not unpacked[-1].exists():
                unpack(folder / remote.inner_archive, unpacked[-1], job.progress)
    skipped = 0
    for start, target in job.recipe.moves:
        found = [folder / start for folder in unpacked if (folder / start).exists()]
        if not found and not (job.root / target).exists():  # unless an earlier call has moved it
            raise _unknown_archive(job, start, unpacked)
        skipped += sum(merge(path, job.root / target, last=job.spec.marker_dir) for path in found)
    return _clean_up(job, skipped)


def _unknown_archive(job: _Download, folder: str, unpacked: list[Path]) -> UserError:
    tops = ", ".join(sorted(path.name for inside in unpacked for path in inside.iterdir())[:5])
    return UserError(
        f"the archive has no folder {folder}, but {tops}, in {unpacked[0]}: move it to {job.home} by hand, or remove "
        f"{job.folder} and use another source"
    )


def _download_split(job: _Download, split: RemoteFile) -> list[str]:
    """Download the split. A failure is only a remark, as the images are useful without it."""
    file = job.folder / split.file_name
    try:
        if not file.exists():
            _fetch(job, split)
        found = short_sha256(file.read_bytes())
        if job.spec.split_sha256 not in ("", found):
            raise NotAvailable(f"it has a sha256 that begins with {found}, not {job.spec.split_sha256}")
        read_split_file(file, job.home)
    except UserError as error:
        file.unlink(missing_ok=True)
        if isinstance(error, NotAvailable):
            return [f"the split cannot be downloaded, put it into {job.home}: {error}"]
        raise
    merge(file, job.home / split.file_name)
    return []


def _fetch(job: _Download, remote: RemoteFile) -> None:
    target = job.folder / remote.file_name
    with _alternatives("--from archive uses the collection" * job.recipe.collected, target):
        fetch(original_url(remote, job.options), target, digest=remote.digest, progress=job.progress)


@contextmanager
def _alternatives(other_source: str, place: Path) -> Iterator[None]:
    """Add the ways out to the message if a server does not have a file."""
    try:
        yield
    except NotAvailable as error:
        ways = [other_source, "--mirror URL another server", f"or put it there by hand: {place}"]
        raise NotAvailable(f"{error}; {', '.join(filter(None, ways))}") from error


def is_complete(status: DatasetStatus, spec: DatasetSpec) -> bool:
    """Whether nothing is left to download."""
    found = status.pictures.found if status.pictures else 0
    return status.status == "ready" or (status.status == "incomplete" and 0 < spec.recipe.min_images <= found)


def _incomplete_message(status: DatasetStatus, spec: DatasetSpec) -> str:
    """Describe what is missing after a download."""
    if status.status == "no split" and spec.split_file:
        return f"{status.title} is in {status.home}, but its split {spec.split_file} is not; {spec.source}"
    if status.pictures is None:
        return f"{status.title} was downloaded, but {status.fix}"
    such = f", not {', '.join(status.pictures.missing[:3])}" if status.pictures.missing else ""
    return (
        f"{status.title} was downloaded into {status.home}, but only {status.pictures.found:,} of "
        f"{status.pictures.expected:,} images are there{such}; use another source with --from or --mirror"
    )


def _mark_fetched(archive: Path) -> None:
    """Mark an archive as downloaded, so that it may be removed later; archives provided by the user stay."""
    archive.with_name(archive.name + FETCHED).touch()


def _clean_up(job: _Download, skipped: int) -> list[str]:
    """Remove what is no longer needed; return remarks. skipped: number of files that existed already."""
    fetched = {name.removesuffix(FETCHED) for name in file_names(job.folder) if name.endswith(FETCHED)}
    for path in job.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name.endswith(FETCHED) or (path.name in fetched and not job.options.keep):
            path.unlink()
    left = ", ".join(sorted(file_names(job.folder)))
    return [
        *([f"{skipped:,} files that existed already were not changed"] if skipped else []),
        *([f"{left} stays in {job.folder}"] if left else []),
    ]
