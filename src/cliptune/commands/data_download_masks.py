"""`cliptune data download masks [NAMES...] --root ROOT`: download masks of the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from cliptune.commands.downloading import ProgressBars, check_mirror, dataset_name, download_each, root_folder
from cliptune.commands.parse import parse
from cliptune.data.public.doctor.layouts import shell_command
from cliptune.data.public.download import DownloadOptions
from cliptune.data.public.download.disk import format_bytes
from cliptune.errors import UserError
from cliptune.masks import download
from cliptune.masks.download.fetching import SEEM_PAGE, SEEM_URL, MaskArchive, listed_for
from cliptune.masks.download.hub_folder import file_url, hub_url
from cliptune.masks.download.images import datasets_under, masked_images
from cliptune.masks.download.present import find_present
from cliptune.masks.download.record import IncompleteMasksError


@dataclass(frozen=True)
class DataDownloadMasks:
    """Download foreground masks of the benchmarks, check them against the images, and put them where --masks-from
    beside finds them. Existing files are not changed. After an interruption, the same command resumes where it
    stopped."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of datasets; by default all benchmarks whose images are under the root."""
    root: str = ""
    """Folder that contains the public datasets; by default the environment variable CLIPTUNE_DATA."""
    source: Annotated[MaskArchive, tyro.conf.arg(name="from")] = "foreground"
    """foreground: the archives without images of Prompt_Tuning_Datasets_with_Foreground on the Hugging Face hub, for
    eleven benchmarks. seem: the archive of DAPT's authors on Google Drive, one file for all benchmarks."""
    mirror: str = ""
    """Another server: for foreground a hub such as https://hf-mirror.com; for seem another URL of the archive."""
    keep_archives: bool = False
    """Keep the archives in ROOT/downloads/masks-foreground or ROOT/downloads/masks-seem. An archive put there by hand
    is used instead of a download, and always kept."""
    dry_run: bool = False
    """Only print what would be downloaded, with the sizes that the hub lists, and where it would go."""


def data_download_masks(arguments: list[str]) -> None:
    """Download masks. If those of one dataset fail, the others are downloaded all the same."""
    options = parse(DataDownloadMasks, "data download masks", arguments)
    check_mirror(options.mirror)
    root = root_folder(options.root, make=False)
    names = [dataset_name(name) for name in dict.fromkeys(options.names)] or datasets_under(root)
    if not names:
        raise UserError(
            f"masks are matched with images, and no benchmark is under {root}; cliptune data download NAME --root "
            f"{root} downloads one"
        )
    request = DownloadOptions[MaskArchive](options.source, options.mirror, options.keep_archives)
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def lines(name: str) -> Sequence[str]:
        if options.dry_run:
            return plan(name, root, request)
        with ProgressBars(console) as progress:
            return _lines(download.download_masks(name, root, request, progress))

    failed = download_each(names, lines, console)
    if not options.dry_run and all(isinstance(error, IncompleteMasksError) for _, error in failed):
        download.finish(root, request)
    if len(names) > 1 and failed:
        which = ", ".join(name for name, _ in failed)
        raise UserError(f"masks of {len(failed)} of {len(names)} datasets are missing or incomplete: {which}")
    if failed:
        raise failed[0][1]
    if not options.dry_run:
        words = ("cliptune", "train", "maple+dapt", "--data", names[0], "--root", root, "--masks-from", "beside")
        console.print(f"next: {shell_command(*words)}", markup=False)


def plan(name: str, root: Path, request: DownloadOptions[MaskArchive]) -> Sequence[str]:
    """Describe a download. Raises `UserError` if there are no images, or the hub does not list masks of them."""
    images = masked_images(name, root)
    placed = find_present(images, request.source)
    if placed is not None:
        return _lines(placed)
    target = f"would go to {images.folder}, from"
    if request.source == "seem":
        return [target, f"  {request.mirror or SEEM_URL} (size unknown; {SEEM_PAGE})"]
    hub, archives = hub_url(request.mirror), listed_for(name, request)
    files = [file for archive in archives for file in archive.files]
    return [
        target,
        *(f"  {file_url(hub, f.path)}, {format_bytes(f.size)}, {f.digest or 'no digest'}" for f in files),
    ]


def _lines(placed: download.PlacedMasks) -> list[str]:
    counts = f", {placed.record.counts()}" if placed.record else ""
    return [f"{placed.folder}{counts}", *placed.remarks]
