"""Download masks of the benchmarks into the folder `mask` of each dataset, where `beside` finds them.

Archives and unpacked masks are in ROOT/downloads/masks-SOURCE until the masks of a dataset are complete and checked;
their folder is then renamed to its place. The next call recognizes the result of each finished step there.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from cliptune.data.public.download import DownloadOptions
from cliptune.data.public.download.disk import exclusive_folder
from cliptune.data.public.download.transfer import ProgressCallback, no_progress
from cliptune.masks.download.fetching import MaskArchive, archive_folder, local_archives, remove_archives
from cliptune.masks.download.images import masked_images
from cliptune.masks.download.present import PlacedMasks, find_hiding, find_present
from cliptune.masks.download.staging import move, stage


def download_masks(
    name: str, root: Path, options: DownloadOptions[MaskArchive], progress: ProgressCallback = no_progress
) -> PlacedMasks:
    """Download the masks of a dataset whose images are under `root`, unless it has masks. Existing files are not
    changed.

    Raises:
        UserError: If the images or the masks are not available, or training images have no mask.
    """
    images = masked_images(name, root)
    placed = find_present(images, options.source)
    if placed is None:
        folder = archive_folder(root, options.source)
        with exclusive_folder(folder):
            staged = folder / f"{name}.masks"
            if not staged.exists():
                archives = local_archives(name, folder, options, progress)
                stage(images, archives, options.source, staged, progress)
            move(staged, images.folder)
            for leftover in folder.glob(f"{name}-*.unpacked*"):  # of archives that have changed since
                shutil.rmtree(leftover)
            if not options.keep:
                remove_archives(folder, name)
        placed = find_present(images, options.source)
        assert placed is not None and placed.record is not None
        placed = replace(placed, remarks=(*placed.record.remarks, *find_hiding(images)))
    if placed.record is not None:
        placed.record.check_complete(placed.folder)
    return placed


def finish(root: Path, options: DownloadOptions[MaskArchive]) -> None:
    """Remove downloaded archives that contain several datasets, after the last of these."""
    folder = archive_folder(root, options.source)
    if folder.is_dir() and not options.keep:
        with exclusive_folder(folder):
            remove_archives(folder)
