"""`cliptune data download NAME... --root ROOT`."""

from __future__ import annotations

import difflib
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
from cliptune.data import sources
from cliptune.data.config import ROOT_VARIABLE
from cliptune.data.public import download
from cliptune.data.public.download.disk import disk_errors, format_bytes
from cliptune.data.public.download.recipes import COLLECTION, RECIPES
from cliptune.errors import UserError


@dataclass(frozen=True)
class DataDownload:
    """Fetch public datasets, check them and lay them out under a root. What is there already stays; stopped or cut, the
    same command goes on where it was."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Datasets as in `cliptune data list`."""
    root: str = ""
    """Folder that holds the public datasets, made if it is not there; left empty, the environment variable
    CLIPTUNE_DATA."""
    source: Annotated[Literal["archive", "original"], tyro.conf.arg(name="from")] = "archive"
    """archive: zips with pictures and split, collected on the Hugging Face hub. original: each dataset's own site, the
    split from the authors of CoOp."""
    mirror: str = ""
    """Another place: a hub such as https://hf-mirror.com for archive; for original a folder on a server that has the
    files by their own names."""
    keep_archives: bool = False
    """Leave the archives in ROOT/downloads/NAME."""
    dry_run: bool = False
    """Only say what would be fetched, and where it would go."""


def data_download(arguments: list[str]) -> None:
    """Fetch datasets. What cannot be had does not keep the others from coming."""
    options = parse(DataDownload, "data download", arguments)
    names = [_name(name) for name in dict.fromkeys(options.names)]
    if not names:
        raise UserError(f"data download takes names of datasets: {', '.join(RECIPES)}")
    if options.mirror and not options.mirror.startswith(("http://", "https://")):
        raise UserError(f"--mirror takes an address that begins with https:// or http://, got {options.mirror!r}")
    root = _root(options.root, make=not options.dry_run)
    order = download.DownloadOptions(options.source, options.mirror, options.keep_archives)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    failed: list[tuple[str, UserError]] = []
    for name in names:
        try:
            if options.dry_run:
                lines = plan(name, root, order)
            else:
                with Bars(console) as watch:
                    report, remarks = download.download(name, root, order, watch)
                count = f", {report.pictures.found:,} pictures" if report.pictures else ""
                lines = [f"{report.home}{count}", *remarks]
        except UserError as error:
            failed.append((name, error))
            if len(names) > 1:
                console.print(f"{name}: {error}", style="red", markup=False)
            continue
        sys.stdout.writelines(f"{name if i == 0 else '':<16}{line}\n" for i, line in enumerate(lines))
        sys.stdout.flush()
    if len(names) > 1 and failed:
        what = "cannot be fetched" if options.dry_run else "were not fetched"
        raise UserError(f"{len(failed)} of {len(names)} datasets {what}: {', '.join(name for name, _ in failed)}")
    if failed:
        raise failed[0][1]


def plan(name: str, root: Path, order: download.DownloadOptions) -> Sequence[str]:
    """What would be done for a dataset, without asking the network. Raises `UserError` where nothing can be."""
    recipe = RECIPES[name]
    if root.is_dir() and download.is_complete(download.dataset_status(name, root), recipe):
        return ["already there"]
    source = download.choose_source(recipe, order, root)
    size = recipe.gigabytes[source == "original"]
    about = f"about {size:g} GB" if size else "size unknown"
    if source == "archive":
        files = [f"{order.mirror or 'https://huggingface.co'}/{COLLECTION}, the archive of {recipe.home}"]
    else:
        remotes = [*recipe.remote_files, *([recipe.split] if recipe.split else [])]
        files = [order.url(remote) for remote in remotes]
    return [f"would go to {root / recipe.home}, {about}, from", *(f"  {file}" for file in files)]


class Bars:
    """A bar for each thing that is fetched, checked or unpacked; where the output is no terminal, a line."""

    def __init__(self, console: Console):
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, transient=True)
        self.task: TaskID | None = None
        self.what = ""

    def __enter__(self) -> Bars:
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
    """A dataset's name, or the one of its title. Raises `UserError` with the nearest names."""
    titles = {card.title.casefold(): own for own, card in sources.public_specs().items()}
    found = titles.get(name.casefold(), name.casefold().replace("-", "_"))
    if found in RECIPES:
        return found
    if found in sources.names():
        raise UserError(f"{name} is no public dataset: there is nothing to fetch")
    close = difflib.get_close_matches(found, [*RECIPES, *titles], n=2, cutoff=0.4)
    raise UserError(f"no public dataset {name!r}; nearest: {', '.join(close or RECIPES)}")


def _root(given: str, *, make: bool) -> Path:
    """The root as an absolute path, made if its parent is there. Raises `UserError`."""
    where = given or os.environ.get(ROOT_VARIABLE, "")
    if not where:
        raise UserError(f"say where the datasets go: --root FOLDER, or set {ROOT_VARIABLE}")
    root = Path(where).expanduser().absolute()
    if root.is_file() or not (root.is_dir() or root.parent.is_dir()):
        raise UserError(f"{root} is {'a file' if root.is_file() else 'in no folder'}; check --root or {ROOT_VARIABLE}")
    if make:
        with disk_errors(root):
            root.mkdir(exist_ok=True)
    return root
