"""Parts of the commands that download: names, root and mirror from the command line, and progress bars."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cliptune.data import public, sources
from cliptune.data.config import ROOT_VARIABLE
from cliptune.data.public.download.disk import disk_errors, format_bytes
from cliptune.engine.progress import draws_bars
from cliptune.errors import UserError
from cliptune.registry import nearest


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
            if not draws_bars(self.progress.console):
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


def check_mirror(mirror: str) -> None:
    """Raise `UserError` unless `mirror` is a URL or empty."""
    if mirror and not mirror.startswith(("http://", "https://")):
        raise UserError(f"--mirror takes a URL that begins with https:// or http://, got {mirror!r}")


def dataset_name(name: str) -> str:
    """The name of a dataset given by name or title. Raises `UserError` with the nearest names."""
    specs = public.specs()
    titles = {spec.title.casefold(): own for own, spec in specs.items()}
    found = titles.get(name.casefold(), name.casefold().replace("-", "_"))
    if found in specs:
        return found
    if found in sources.names():
        raise UserError(f"{name} is not a public dataset: there is nothing to download")
    raise UserError(f"no public dataset {name!r}; {nearest(found, [*specs, *titles])}")


def download_each(
    names: Sequence[str], download: Callable[[str], Sequence[str]], console: Console
) -> list[tuple[str, UserError]]:
    """Call `download` for each dataset and print the lines that it returns. If one fails, the others are downloaded all
    the same; returns those that failed, with their errors."""
    failed: list[tuple[str, UserError]] = []
    for name in names:
        try:
            lines = download(name)
        except UserError as error:
            failed.append((name, error))
            if len(names) > 1:
                console.print(f"{name}: {error}", style="red", markup=False)
            continue
        sys.stdout.writelines(f"{name if i == 0 else '':<16}{line}\n" for i, line in enumerate(lines))
        sys.stdout.flush()
    return failed


def root_folder(given: str, *, make: bool) -> Path:
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
