"""`cliptune data download NAME... --root ROOT`: download public datasets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cliptune.commands.parse import parse
from cliptune.data import public, sources
from cliptune.data.config import ROOT_VARIABLE
from cliptune.data.public import download
from cliptune.data.public.common.recipe import COLLECTION
from cliptune.data.public.download.disk import disk_errors, format_bytes
from cliptune.errors import UserError
from cliptune.registry import nearest


@dataclass(frozen=True)
class DataDownload:
    """Download public datasets into the CoOp layout under a root, and check them. Existing files are not changed.
    After an interruption, the same command resumes where it stopped."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Names of datasets, see `cliptune data list`."""
    root: str = ""
    """Folder that contains the public datasets, created if necessary; by default the environment variable
    CLIPTUNE_DATA."""
    source: Annotated[Literal["archive", "original"], tyro.conf.arg(name="from")] = "archive"
    """archive: archives with images and split, collected on the Hugging Face hub. original: each dataset's own site,
    with the split from the authors of CoOp."""
    mirror: str = ""
    """Another server: for archive a hub such as https://hf-mirror.com; for original a folder on a server that has the
    files under their own names."""
    keep_archives: bool = False
    """Keep the archives in ROOT/downloads/NAME."""
    dry_run: bool = False
    """Only print what would be downloaded, and where it would go."""


def data_download(arguments: list[str]) -> None:
    """Download datasets. If one fails, the others are downloaded all the same."""
    options = parse(DataDownload, "data download", arguments)
    names = [_name(name) for name in dict.fromkeys(options.names)]
    if not names:
        raise UserError(f"data download takes names of datasets: {', '.join(public.specs())}")
    if options.mirror and not options.mirror.startswith(("http://", "https://")):
        raise UserError(f"--mirror takes a URL that begins with https:// or http://, got {options.mirror!r}")
    root = _root(options.root, make=not options.dry_run)
    request = download.DownloadOptions(options.source, options.mirror, options.keep_archives)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    failed: list[tuple[str, UserError]] = []
    for name in names:
        try:
            if options.dry_run:
                lines = plan(name, root, request)
            else:
                with ProgressBars(console) as progress:
                    status, remarks = download.download(name, root, request, progress)
                count = f", {status.pictures.found:,} images" if status.pictures else ""
                lines = [f"{status.home}{count}", *remarks]
        except UserError as error:
            failed.append((name, error))
            if len(names) > 1:
                console.print(f"{name}: {error}", style="red", markup=False)
            continue
        sys.stdout.writelines(f"{name if i == 0 else '':<16}{line}\n" for i, line in enumerate(lines))
        sys.stdout.flush()
    if len(names) > 1 and failed:
        what = "cannot be downloaded" if options.dry_run else "were not downloaded"
        raise UserError(f"{len(failed)} of {len(names)} datasets {what}: {', '.join(name for name, _ in failed)}")
    if failed:
        raise failed[0][1]


def plan(name: str, root: Path, request: download.DownloadOptions) -> Sequence[str]:
    """Describe a download without using the network. Raises `UserError` if the dataset cannot be downloaded."""
    spec = public.specs()[name]
    if root.is_dir() and download.is_complete(download.dataset_status(name, root), spec):
        return ["already there"]
    source = download.select_source(spec, request, root)
    size = spec.recipe.gigabytes[source == "original"]
    about = f"about {size:g} GB" if size else "size unknown"
    if source == "archive":
        files = [f"{request.mirror or 'https://huggingface.co'}/{COLLECTION}, the archive of {spec.home}"]
    else:
        remotes = [*spec.recipe.remote_files, *([spec.recipe.split] if spec.recipe.split else [])]
        files = [request.url(remote) for remote in remotes]
    return [f"would go to {root / spec.home}, {about}, from", *(f"  {file}" for file in files)]


class ProgressBars:
    """A progress bar per file; one line per file if the output is not a terminal."""

    def __init__(self, console: Console):
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, transient=True)
        self.task: TaskID | None = None
        self.what = ""

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, *_) -> None:
        self._end()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if what != self.what:
            self._end()
            self.what = what
            if not self.progress.console.is_terminal:
                self.progress.console.print(f"{what}, {format_bytes(total)}" if total else what, markup=False)
                return
            self.task = self.progress.add_task(what, total=total)
            self.progress.start()
        if self.task is not None:
            self.progress.update(self.task, completed=done, total=total)

    def _end(self) -> None:
        if self.task is not None:
            self.progress.stop()
            self.progress.remove_task(self.task)
        self.task = None


def _name(name: str) -> str:
    """The name of a dataset given by name or title. Raises `UserError` with the nearest names."""
    specs = public.specs()
    titles = {spec.title.casefold(): own for own, spec in specs.items()}
    found = titles.get(name.casefold(), name.casefold().replace("-", "_"))
    if found in specs:
        return found
    if found in sources.names():
        raise UserError(f"{name} is not a public dataset: there is nothing to download")
    raise UserError(f"no public dataset {name!r}; {nearest(found, [*specs, *titles])}")


def _root(given: str, *, make: bool) -> Path:
    """The root as an absolute path, created if its parent exists. Raises `UserError`."""
    where = given or os.environ.get(ROOT_VARIABLE, "")
    if not where:
        raise UserError(f"the root folder of the datasets is not set: use --root FOLDER, or set {ROOT_VARIABLE}")
    root = Path(where).expanduser().absolute()
    if root.is_file() or not (root.is_dir() or root.parent.is_dir()):
        raise UserError(f"{root} is {'a file' if root.is_file() else 'in no folder'}; check --root or {ROOT_VARIABLE}")
    if make:
        with disk_errors(root):
            root.mkdir(exist_ok=True)
    return root
