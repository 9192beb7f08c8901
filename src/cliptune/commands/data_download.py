"""`cliptune data download NAME... --root ROOT`: download public datasets; with `masks` as first name, their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from cliptune.commands.data_download_masks import data_download_masks
from cliptune.commands.downloading import ProgressBars, check_mirror, dataset_name, download_each, root_folder
from cliptune.commands.parse import parse
from cliptune.data import public
from cliptune.data.public import download
from cliptune.data.public.common.recipe import COLLECTION
from cliptune.errors import UserError

#: The first argument that asks for masks instead of datasets.
MASKS = "masks"


@dataclass(frozen=True)
class DataDownload:
    """Download public datasets into the CoOp layout under a root, and check them. Existing files are not changed.
    After an interruption, the same command resumes where it stopped. `cliptune data download masks --root ROOT`
    downloads foreground masks of the datasets there, see `cliptune data download masks --help`."""

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
    if arguments[:1] == [MASKS]:
        return data_download_masks(arguments[1:])
    options = parse(DataDownload, "data download", arguments)
    if MASKS in options.names:
        raise UserError(f"masks comes first: cliptune data download {MASKS} NAMES --root ROOT")
    names = [dataset_name(name) for name in dict.fromkeys(options.names)]
    if not names:
        raise UserError(f"data download takes names of datasets: {', '.join(public.specs())}")
    check_mirror(options.mirror)
    root = root_folder(options.root, make=not options.dry_run)
    request = download.DownloadOptions[download.Source](options.source, options.mirror, options.keep_archives)
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def lines(name: str) -> Sequence[str]:
        if options.dry_run:
            return plan(name, root, request)
        with ProgressBars(console) as progress:
            status, remarks = download.download(name, root, request, progress)
        count = f", {status.pictures.found:,} images" if status.pictures else ""
        return [f"{status.home}{count}", *remarks]

    failed = download_each(names, lines, console)
    if len(names) > 1 and failed:
        what = "cannot be downloaded" if options.dry_run else "were not downloaded"
        raise UserError(f"{len(failed)} of {len(names)} datasets {what}: {', '.join(name for name, _ in failed)}")
    if failed:
        raise failed[0][1]


def plan(name: str, root: Path, request: download.DownloadOptions[download.Source]) -> Sequence[str]:
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
        files = [download.original_url(remote, request) for remote in remotes]
    return [f"would go to {root / spec.home}, {about}, from", *(f"  {file}" for file in files)]
