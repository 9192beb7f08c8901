"""Unpack and check the masks of a dataset, and move them to their place as a whole."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cliptune.data.public.download.archives import list_members, unpack
from cliptune.data.public.download.disk import disk_errors
from cliptune.data.public.download.place import merge
from cliptune.data.public.download.transfer import ProgressCallback
from cliptune.errors import UserError
from cliptune.masks.download.content import check_sample
from cliptune.masks.download.images import MaskedImages
from cliptune.masks.download.matching import Matching, match_masks
from cliptune.masks.download.record import MaskRecord, write_record
from cliptune.text import listed


@dataclass(frozen=True)
class _Part:
    """The masks of one archive: unpacked folder, key of an image -> path of its mask in it, and remarks."""

    folder: Path
    masks: dict[str, str]
    remarks: list[str]


def stage(
    images: MaskedImages, archives: Mapping[Path, str], source: str, staged: Path, progress: ProgressCallback
) -> None:
    """Unpack the masks of a dataset into `staged`, which appears only when they are complete and checked.

    Args:
        archives: Archive -> digest.
        source: The name of their source.

    Raises:
        UserError: If an archive is damaged, has no mask of the images, or its masks cannot be used.
    """
    keys = {split: images.keys(split) for split in images.splits}
    parts = [_unpack(images, archive, keys, len(archives) == 1, progress) for archive in archives]
    masks = {key: path for part in reversed(parts) for key, path in part.masks.items()}
    first = parts[0].folder
    if not masks:
        raise UserError(f"no mask in {', '.join(a.name for a in archives)} has the path of an image of {images.name}")
    for part in parts[1:]:
        merge(part.folder, first)
        shutil.rmtree(part.folder, ignore_errors=True)
    pairs = zip(images.splits["train"], keys["train"], strict=True)
    try:
        found = check_sample(first, {e.key: masks[key] for e, key in pairs if key in masks}, images.splits["train"])
    except UserError:
        shutil.rmtree(first)  # another archive may be placed by hand
        raise
    missing = [key for key in keys["train"] if key not in masks]
    record = MaskRecord(
        source=source,
        archives={archive.name: digest for archive, digest in archives.items()},
        images={split: len(part) for split, part in keys.items()},
        masks={split: sum(key in masks for key in part) for split, part in keys.items()},
        missing=tuple(missing[:3]),
        remarks=tuple([*(remark for part in parts for remark in part.remarks), *found]),
    )
    write_record(first, record)
    os.rename(first, staged)


def _unpack(
    images: MaskedImages, archive: Path, keys: Mapping[str, list[str]], single: bool, progress: ProgressCallback
) -> _Part:
    """Unpack the masks of a dataset from one archive, unless an earlier call has."""
    every = list(dict.fromkeys(key for split in keys.values() for key in split))
    progress(f"matching {archive.name}", 0, None)
    matching = match_masks(images.name, list_members(archive), every, keys["train"])
    if single and not matching.members:
        raise _no_match(archive, matching, images.name, every[0])
    masks = {key: f"{images.prefix}{_with_suffix(key, path)}" for key, path in matching.members.items()}
    folder = archive.with_name(f"{images.name}-{archive.stat().st_size}-{archive.name}.unpacked")
    if not folder.exists():
        unpack(archive, folder, progress, {path: masks[key] for key, path in matching.members.items()})
    return _Part(folder, masks, _remarks(archive, matching))


def _with_suffix(key: str, mask: str) -> str:
    """The image's path with the suffix of its mask."""
    return str(PurePosixPath(key).with_suffix(PurePosixPath(mask).suffix))


def _no_match(archive: Path, matching: Matching, name: str, key: str) -> UserError:
    has = listed(matching.unmatched, 3) if matching.unmatched else "no image"
    return UserError(
        f"no mask in {archive} has the path of an image of {name}, such as {key}; it has {has}; unpack it by hand, and "
        f"name its folder: --masks-from folder:PATH"
    )


def _remarks(archive: Path, matching: Matching) -> list[str]:
    remarks = []
    if matching.unmatched and matching.members:
        some = listed(matching.unmatched, 2)
        remarks.append(f"{len(matching.unmatched):,} masks in {archive.name} belong to no image of the split: {some}")
    if matching.by_name:
        remarks.append(f"masks in {archive.name} are matched by file name alone, with training images first")
    return remarks


def move(staged: Path, target: Path) -> None:
    """Rename the folder of masks to its place, which must not exist; copy it first if that is on another disk."""
    with disk_errors(target):
        try:
            os.rename(staged, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy = target.with_name(f".{target.name}.copying")
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(staged, copy)
            os.rename(copy, target)
            shutil.rmtree(staged)
