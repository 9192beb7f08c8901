"""What a public dataset that was found consists of, counted against what it should."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.exists import missing_files
from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, short_sha256, spec_mismatches
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.data.public.doctor.status import ImageCount, MaskCount, SplitFile
from cliptune.files import read_bytes
from cliptune.types import Example

#: Missing pictures that are named.
NAMED = 20


@dataclass(frozen=True)
class Completeness:
    """Pictures, all missing ones by their paths below the pictures' folder, masks, in what the split is not the
    published one, and other remarks."""

    pictures: ImageCount
    gone: tuple[str, ...]
    masks: MaskCount | None
    other: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def count_files(kind: type[Dataset], place: DatasetLocation, root: Path) -> Completeness:
    """Count what is there. Raises `UserError` for a split or lists that cannot be used, and for class folders that are
    missing where folders decide."""
    card: DatasetSpec = kind.card  # type: ignore[attr-defined]
    if not issubclass(kind, SplitDataset):
        return _opened(card, kind, place, root)
    names, parts = kind.listed(place)
    paths = [e.path for examples in parts.values() for e in examples]
    keys = list(dict.fromkeys(_key(path, place.images) for path in paths))
    gone = missing_files(place.images, keys)
    other = spec_mismatches(card, place.split, names, [len(examples) for examples in parts.values()])
    pictures = ImageCount(len(keys), len(keys) - len(gone), tuple(gone[:NAMED]))
    return Completeness(pictures, tuple(gone), _masks(card, place, parts["train"]), tuple(other))


def _opened(card: DatasetSpec, kind: type[Dataset], place: DatasetLocation, root: Path) -> Completeness:
    """Of a dataset that finds its own pictures: all in its class folders, where those that lack have no names, or all
    in its lists, which it insists on."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dataset = kind.from_spec("", DataConfig(root=str(root)))
    # A million training examples take ten seconds: lists are shorter, and masks are looked for where there are some.
    train = dataset.examples("train") if card.lists or _mask_folder(place) else []
    val, test = dataset.examples("val"), dataset.examples("test")
    found = (len(train) or sum(dataset.sizes().values())) + len(test) + (len(val) if val != test else 0)
    expected = found if card.lists else card.counts[0] + card.counts[2] + (card.counts[1] if val != test else 0)
    notes = [str(warning.message) for warning in told]
    if found < expected and len(test) >= card.counts[2]:
        notes.append("the test set is whole: it can be tested on")
    return Completeness(ImageCount(expected, found), (), _masks(card, place, train), (), tuple(notes))


def split_status(card: DatasetSpec, file: Path | None) -> SplitFile | None:
    """The split file and whether it is the published one."""
    if file is None:
        return None
    sha = short_sha256(read_bytes(file))
    return SplitFile(file, sha, sha == card.split_sha256 if card.split_sha256 else None)


def count_images(folder: Path) -> int:
    """Picture files below a folder."""
    total, stack = 0, [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                    total += 1
    return total


def _key(path: Path | None, images: Path) -> str:
    # String work, as a million of pathlib's relative paths take a minute.
    text, start = str(path), f"{images}{os.sep}"
    return text[len(start) :].replace(os.sep, "/") if text.startswith(start) else text


def _mask_folder(place: DatasetLocation) -> Path | None:
    return next((place.home / name for name in ("mask", "masks") if (place.home / name).is_dir()), None)


def _masks(card: DatasetSpec, place: DatasetLocation, train: Sequence[Example]) -> MaskCount | None:
    """Masks of training pictures: those the dataset names, or the released archive's if their folder is there."""
    named = [e.mask for e in train if e.mask is not None]
    if named:
        return MaskCount(named[0].parent, len(train), len(named))
    folder = _mask_folder(place)
    if folder is None:
        return None
    full = [e.path.as_posix() for e in train if e.path is not None]
    last = {"flat": 1, "class": 2}.get(card.masks)
    if last:
        wanted = ["/".join(path.split("/")[-last:]) for path in full]
    else:
        wanted = [path.rpartition(f"/{card.masks}/")[2] for path in full]
    return MaskCount(folder, len(wanted), len(wanted) - len(missing_files(folder, wanted)))
