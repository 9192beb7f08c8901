"""Public datasets from the network to the CoOp layout under a root.

What comes is kept in ROOT/downloads/NAME until it is in place: partial files, archives, what was unpacked. Each step
that is done leaves something there by which the next call knows, so a call goes on where an earlier one was stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cliptune.data import sources
from cliptune.data.public.common import split_file
from cliptune.data.public.common.spec import DatasetSpec, find_split, short_sha256
from cliptune.data.public.doctor import check
from cliptune.data.public.download.archives import unpack
from cliptune.data.public.download.collection import fetch_archive
from cliptune.data.public.download.disk import exclusive_folder, file_names
from cliptune.data.public.download.place import find_home, merge
from cliptune.data.public.download.recipes import RECIPES, Recipe, RemoteFile
from cliptune.data.public.download.transfer import NotAvailable, ProgressCallback, fetch
from cliptune.errors import UserError

Source = Literal["archive", "original"]
#: Ends the names of empty files that mark archives.
OWN = ".fetched"


@dataclass(frozen=True)
class DownloadOptions:
    """What a user asks for."""

    source: Source = "archive"
    """The zip of the collection on the Hugging Face hub, or the archives of the dataset's own site."""
    mirror: str = ""
    """Another hub; or, for original archives, a folder on a server that has them by their file names."""
    keep: bool = False
    """Leave the archives in ROOT/downloads/NAME."""

    def url(self, remote: RemoteFile) -> str:
        """Where a file of an original site is fetched."""
        return f"{self.mirror.rstrip('/')}/{remote.file}" if self.mirror else remote.url


@dataclass(frozen=True)
class _Job:
    name: str
    recipe: Recipe
    card: DatasetSpec
    root: Path
    order: DownloadOptions
    watch: ProgressCallback

    @property
    def folder(self) -> Path:
        return self.root / "downloads" / self.name


def dataset_status(name: str, root: Path) -> check.DatasetStatus:
    """What there is of a dataset, by the names of its files."""
    return check.check_dataset(sources.dataset_class(name), root, opened=False)


def choose_source(recipe: Recipe, order: DownloadOptions, root: Path) -> Source:
    """Where a dataset will come from. Raises `UserError` with what to do by hand where it comes from nowhere."""
    if order.source == "archive" and recipe.collected:
        return "archive"
    if not recipe.remote_files:
        raise UserError(recipe.manual_steps.format(root=root))
    return "original"


def download(
    name: str, root: Path, order: DownloadOptions, watch: ProgressCallback = lambda what, done, total: None
) -> tuple[check.DatasetStatus, list[str]]:
    """Bring a dataset under `root`, unless all of it is there; files that are there stay as they are.

    Returns the report on it, and remarks. Raises `UserError` where it cannot be had, or is not complete then.
    """
    recipe = RECIPES[name]
    job = _Job(name, recipe, sources.public_specs()[name], root, order, watch)
    report = dataset_status(name, root)
    if is_complete(report, recipe):
        if job.folder.is_dir():  # a run was stopped after its last step but one
            with exclusive_folder(job.folder):
                _clear(job, 0)
        return report, ["already there"]
    if report.status in ("wrong layout", "unreadable"):  # one command of the user's in place of gigabytes
        raise UserError(f"{report.title} is there, but {report.fix}")
    source = choose_source(recipe, order, root)
    with exclusive_folder(job.folder):
        remarks = []
        own = source == "original" or report.status == "no split"  # the collection's zip has the split in it
        if own and recipe.split and find_split(job.card, root) is None:
            remarks += _get_split(job, recipe.split)
        if not is_complete(dataset_status(name, root), recipe):
            remarks += _from_collection(job) if source == "archive" else _from_site(job)
        report = dataset_status(name, root)
    if not is_complete(report, recipe):
        raise UserError("; ".join([_lacking(report, job.card), *remarks]))
    return report, remarks


def _from_collection(job: _Job) -> list[str]:
    recipe, unpacked = job.recipe, job.folder / "unpacked"
    if not unpacked.exists():
        there = file_names(job.folder)
        with _or("--from original takes the dataset's own site" if recipe.remote_files else "", job.folder):
            archive = fetch_archive([recipe.home, *recipe.aliases], job.folder, hub=job.order.mirror, watch=job.watch)
        if archive.name not in there:
            _own(archive)
        unpack(archive, unpacked, job.watch)
    home = find_home(unpacked, recipe.sign)
    if home is None:
        raise _other(job, recipe.sign, [unpacked])
    return _clear(job, merge(home, job.root / recipe.home, last=recipe.sign))


def _from_site(job: _Job) -> list[str]:
    unpacked = []
    for remote in job.recipe.remote_files:
        archive, inside = job.folder / remote.file, job.folder / f"{remote.file}.unpacked"
        if not inside.exists():
            if not archive.exists():  # neither of an earlier run nor brought by hand
                _fetch(job, remote)
                _own(archive)
            unpack(archive, inside, job.watch)
        unpacked.append(inside)
        if (inside / remote.inner).is_file():
            unpacked.append(job.folder / f"{Path(remote.inner).name}.unpacked")
            if not unpacked[-1].exists():
                unpack(inside / remote.inner, unpacked[-1], job.watch)
    kept = 0
    for start, end in job.recipe.moves:
        found = [inside / start for inside in unpacked if (inside / start).exists()]
        if not found and not (job.root / end).exists():  # where an earlier run has not brought it there
            raise _other(job, start, unpacked)
        kept += sum(merge(path, job.root / end, last=job.recipe.sign) for path in found)
    return _clear(job, kept)


def _other(job: _Job, folder: str, unpacked: list[Path]) -> UserError:
    """That an archive is laid out as none that is known."""
    tops = ", ".join(sorted(path.name for inside in unpacked for path in inside.iterdir())[:5])
    return UserError(
        f"what was fetched has no folder {folder}, but {tops}, in {unpacked[0]}: bring it to "
        f"{job.root / job.recipe.home} by hand, or remove {job.folder} and take another source"
    )


def _get_split(job: _Job, split: RemoteFile) -> list[str]:
    """Fetch the split. That it cannot be had is a remark: the pictures are worth having."""
    home, here = job.root / job.recipe.home, job.folder / split.file
    try:
        if not here.exists():
            _fetch(job, split)
        found = short_sha256(here.read_bytes())
        if job.card.split_sha256 not in ("", found):
            raise NotAvailable(f"it came with a sha256 that begins with {found}, not {job.card.split_sha256}")
        split_file.read_split_file(here, home)
    except UserError as error:
        here.unlink(missing_ok=True)
        if isinstance(error, NotAvailable):
            return [f"the split cannot be fetched, put it into {home}: {error}"]
        raise
    merge(here, home / split.file)
    return []


def _fetch(job: _Job, remote: RemoteFile) -> None:
    target = job.folder / remote.file
    with _or("--from archive takes a collected copy" if job.recipe.collected else "", target):
        fetch(job.order.url(remote), target, digest=remote.digest, watch=job.watch)


@contextmanager
def _or(other: str, place: Path) -> Iterator[None]:
    """Add the ways out to what a server does not give."""
    try:
        yield
    except NotAvailable as error:
        ways = [other, "--mirror URL another server", f"or put it there by hand: {place}"]
        raise NotAvailable(f"{error}; {', '.join(filter(None, ways))}") from error


def is_complete(report: check.DatasetStatus, recipe: Recipe) -> bool:
    """Whether nothing is left to be fetched."""
    found = report.pictures.found if report.pictures else 0
    return report.status == "ready" or (report.status == "incomplete" and 0 < recipe.enough <= found)


def _lacking(report: check.DatasetStatus, card: DatasetSpec) -> str:
    """What is not there although everything was fetched."""
    if report.status == "no split" and card.split:
        return f"{report.title} is in {report.home}, but its split {card.split} is not; {card.source}"
    if report.pictures is None:
        return f"{report.title} was fetched, but {report.fix}"
    such = f", not {', '.join(report.pictures.missing[:3])}" if report.pictures.missing else ""
    return (
        f"{report.title} was fetched into {report.home}, but only {report.pictures.found:,} of "
        f"{report.pictures.expected:,} pictures are there{such}; take another source with --from or --mirror"
    )


def _own(archive: Path) -> None:
    """Note that an archive was fetched here, so that it may be removed in the end; one brought by hand stays."""
    archive.with_name(archive.name + OWN).touch()


def _clear(job: _Job, kept: int) -> list[str]:
    """Remove what is no longer needed. kept: how many files stayed as they were."""
    own = {name.removesuffix(OWN) for name in file_names(job.folder) if name.endswith(OWN)}
    for path in job.folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name.endswith(OWN) or (path.name in own and not job.order.keep):
            path.unlink()
    left = ", ".join(sorted(file_names(job.folder)))
    return [
        *([f"{kept:,} files that were there already stay as they are"] if kept else []),
        *([f"{left} stays in {job.folder}"] if left else []),
    ]
