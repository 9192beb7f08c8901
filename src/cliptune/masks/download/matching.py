"""Match files in an archive of masks with the images of a dataset, by the ends of their paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cliptune.data.image_io import IMAGE_SUFFIXES
from cliptune.errors import UserError
from cliptune.masks.download.naming import dataset_names, identify


@dataclass(frozen=True)
class Matching:
    """The masks in an archive.

    Args:
        members: Key of an image -> path of its mask in the archive.
        unmatched: Paths of masks that belong to no image.
        by_name: Whether masks were matched by file name alone.
    """

    members: dict[str, str]
    unmatched: tuple[str, ...] = ()
    by_name: bool = False


def match_masks(dataset: str, paths: Iterable[str], keys: Sequence[str], train: Sequence[str]) -> Matching:
    """Match the paths in an archive with images.

    A mask belongs to the image whose path, without suffix, is the end of its own. If none does, as in a flat folder,
    masks belong to the image of the same file name, a training image if there are several.

    Args:
        dataset: The dataset's name. In an archive of several datasets, the paths of others are left out.
        paths: Paths of files in the archive.
        keys: Paths of the dataset's images, relative to its image folder.
        train: Those of training images.

    Raises:
        UserError: If two masks belong to one image.
    """
    images = _of_dataset(dataset, [path for path in paths if _is_image(path) and "__MACOSX" not in path])
    # An archive may contain the images too.
    masks = [path for path in images if "mask" in path.rpartition("/")[0].lower()] or images
    found = _match(masks, {_stem(key): key for key in keys})
    by_name = not found and any("/" in key for key in keys)
    if by_name:
        found = _match(masks, {**_names(keys), **_names(train)})
    matched = set(found.values())
    return Matching(found, tuple(path for path in masks if path not in matched), by_name and bool(found))


def _of_dataset(dataset: str, paths: list[str]) -> list[str]:
    """The paths of one dataset, if folders have the names of datasets."""
    names = dataset_names()
    owners = {folder: identify(folder, names) for folder in {path.rpartition("/")[0] for path in paths}}
    if dataset not in owners.values():
        return paths
    return [path for path in paths if owners[path.rpartition("/")[0]] == dataset]


def _match(paths: Iterable[str], keys: dict[str, str]) -> dict[str, str]:
    """Key -> path. keys: end of a path without suffix -> key, "" if ambiguous."""
    depths = sorted({stem.count("/") + 1 for stem in keys}, reverse=True)
    found: dict[str, str] = {}
    for path in paths:
        key = next((keys[end] for end in _ends(path, depths) if keys.get(end)), None)
        if key is not None and key in found:
            raise UserError(
                f"the archive has two masks for {key}, {found[key]} and {path}; unpack the right ones by hand and name "
                f"their folder: --masks-from folder:PATH"
            )
        if key is not None:
            found[key] = path
    return found


def _ends(path: str, depths: Sequence[int]) -> Iterator[str]:
    """The ends of a path, of `depths` parts, without suffix, also without that of the image or "_mask"."""
    stem = _stem(path)
    yield from _last_parts(stem, depths)
    inner = _stem(stem) if _is_image(stem) else stem.removesuffix("_mask")  # x.jpg.png, x_mask.png
    if inner != stem:
        yield from _last_parts(inner, depths)


def _last_parts(path: str, depths: Sequence[int]) -> Iterator[str]:
    parts = path.split("/")
    for depth in depths:
        if len(parts) >= depth:
            yield "/".join(parts[-depth:])


def _names(keys: Iterable[str]) -> dict[str, str]:
    """File name without suffix -> key; "" if several images have it."""
    names: dict[str, str] = {}
    for key in keys:
        name = _stem(key).rpartition("/")[2]
        names[name] = "" if name in names else key
    return names


def _is_image(path: str) -> bool:
    # `PurePath` takes a minute for a million paths.
    name = path.rpartition("/")[2]
    return not name.startswith(".") and f".{name.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES


def _stem(path: str) -> str:
    folder, slash, name = path.replace("\\", "/").rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}"
