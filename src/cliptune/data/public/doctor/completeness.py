"""Count the files of a public dataset on disk and compare them with its specification."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.exists import missing_files
from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, short_sha256, spec_mismatches
from cliptune.data.public.common.split_dataset import SplitDataset
from cliptune.data.public.doctor.status import ImageCount, MaskCount, SplitFile
from cliptune.files import read_bytes
from cliptune.types import Example

#: Missing images that are named.
MAX_NAMED = 20


@dataclass(frozen=True)
class Completeness:
    """Images and masks found.

    missing: paths of all missing images, relative to the image folder. mismatches: differences from the published
    split.
    """

    images: ImageCount
    missing: tuple[str, ...]
    masks: MaskCount | None
    mismatches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def count_files(kind: type[PublicDataset], location: DatasetLocation, root: Path) -> Completeness:
    """Count images and masks.

    Raises:
        UserError: If the split or the dataset's lists are unusable, or class folders that define the split are missing.
    """
    if not issubclass(kind, SplitDataset):
        return _count_opened(kind, location, root)
    names, splits = kind.read_split(location)
    paths = [e.path for examples in splits.values() for e in examples]
    keys = list(dict.fromkeys(_relative(path, location.images) for path in paths))
    missing = missing_files(location.images, keys)
    sizes = [len(examples) for examples in splits.values()]
    mismatches = spec_mismatches(kind.spec, location.split_file, names, sizes)
    images = ImageCount(len(keys), len(keys) - len(missing), tuple(missing[:MAX_NAMED]))
    return Completeness(images, tuple(missing), _count_masks(kind.spec, location, splits["train"]), tuple(mismatches))


def _count_opened(kind: type[PublicDataset], location: DatasetLocation, root: Path) -> Completeness:
    """Count the files of a dataset without a split file: all images in its class folders or in its own lists."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = kind.from_spec("", DataConfig(root=str(root)))
    # A million training examples take ten seconds, so they are made only if needed: for lists, which are shorter, and
    # to count masks.
    spec = kind.spec
    train = dataset.examples("train") if spec.list_files or _mask_folder(location) else []
    val, test = dataset.examples("val"), dataset.examples("test")
    found = (len(train) or sum(dataset.sizes().values())) + len(test) + (len(val) if val != test else 0)
    num_train, num_val, num_test = spec.split_sizes
    expected = found if spec.list_files else num_train + num_test + (num_val if val != test else 0)
    notes = [str(warning.message) for warning in caught]
    if found < expected and len(test) >= num_test:
        notes.append("the test set is complete: it can be used for testing")
    return Completeness(ImageCount(expected, found), (), _count_masks(spec, location, train), (), tuple(notes))


def split_status(spec: DatasetSpec, file: Path | None) -> SplitFile | None:
    """The split file and whether it is the published one."""
    if file is None:
        return None
    sha256 = short_sha256(read_bytes(file))
    return SplitFile(file, sha256, sha256 == spec.split_sha256 if spec.split_sha256 else None)


def count_images(folder: Path) -> int:
    """The number of image files below a folder, links to folders not followed."""
    total, stack = 0, [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
                    total += 1
    return total


def _relative(path: Path | None, folder: Path) -> str:
    # Strings, as `Path.relative_to` takes a minute for a million paths.
    text, start = str(path), f"{folder}{os.sep}"
    return text[len(start) :].replace(os.sep, "/") if text.startswith(start) else text


def _mask_folder(location: DatasetLocation) -> Path | None:
    return next((location.home / name for name in ("mask", "masks") if (location.home / name).is_dir()), None)


def _count_masks(spec: DatasetSpec, location: DatasetLocation, train: Sequence[Example]) -> MaskCount | None:
    """Count the masks of training images: the dataset's own, or those in the folder of masks if it exists.

    In that folder, masks have the path of their image relative to the dataset's folder (`data download masks`), or the
    layout of the released archive.
    """
    own = [e.mask for e in train if e.mask is not None]
    if own:
        return MaskCount(own[0].parent, len(train), len(own))
    folder = _mask_folder(location)
    if folder is None:
        return None
    paths = [e.path.as_posix() for e in train if e.path is not None]
    own_paths = [_relative(e.path, location.home) for e in train if e.path is not None]
    with_path = len(own_paths) - len(missing_files(folder, own_paths))
    depth = {"flat": 1, "class": 2}.get(spec.mask_layout)
    if depth:
        wanted = ["/".join(path.split("/")[-depth:]) for path in paths]
    else:
        wanted = [path.rpartition(f"/{spec.mask_layout}/")[2] for path in paths]
    return MaskCount(folder, len(wanted), max(with_path, len(wanted) - len(missing_files(folder, wanted))))
