"""Exact and near duplicates among the images of a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from cliptune.data.dataset import Dataset
from cliptune.data.image_io import lenient_pillow
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.targets import labels_in
from cliptune.data.validate import READ_THREADS
from cliptune.errors import UserError
from cliptune.types import Example

#: Near duplicates differ in at most this many of the 64 bits of their difference hashes ...
MAX_BITS = 12
#: ... and their `THUMBNAIL` by `THUMBNAIL` colour pixels correlate at least this much.
MIN_CORRELATION, THUMBNAIL = 0.93, 16
#: Hashes that are compared with all others at a time.
CHUNK = 512
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ListedImage:
    """An image of a dataset: its path or key, the names of its classes, and its split."""

    path: str
    classes: tuple[str, ...]
    split: str
    example: Example


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are the same ("exact": equal pixels) or nearly the same ("near")."""

    kind: Literal["exact", "near"]
    images: tuple[ListedImage, ...]

    @property
    def several_classes(self) -> bool:
        """Whether the images have different classes."""
        return len({image.classes for image in self.images}) > 1

    @property
    def several_splits(self) -> bool:
        """Whether test images are among training or validation images."""
        return len({image.split == "test" for image in self.images}) > 1


@dataclass(frozen=True)
class _Print:
    """What is compared of an image: digest of its pixels, difference hash, normalised thumbnail."""

    digest: bytes
    hash: int
    thumbnail: np.ndarray


def listed_images(dataset: Dataset) -> list[ListedImage]:
    """All images of a dataset, each once."""
    found: dict[str, ListedImage] = {}
    for split in SPLITS:
        for e in dataset.examples(split):
            names = tuple(dataset.classnames[label] for label in labels_in(e))
            found.setdefault(e.key, ListedImage(str(e.path or e.key), names, split, e))
    return list(found.values())


def find_duplicates(dataset: Dataset, tick: Callable[[int, int], None] | None = None) -> list[DuplicateGroup]:
    """Groups of exact and near duplicates among all images of a dataset, those across classes first, then splits.

    Near duplicates have similar difference hashes (64 bits: whether brightness rises between horizontal neighbours of
    9 by 8 pixels) and thumbnails that correlate: copies of other size, format, quality or brightness, and with narrow
    margins cut off. Images that are mirrored, rotated or strongly cropped are not found. Unreadable images are left
    out.

    tick: Called with the number of images read and the total.
    """
    images = listed_images(dataset)
    prints: list[_Print] = []
    readable: list[ListedImage] = []

    def read(image: ListedImage) -> _Print | None:
        try:
            return _print_of(dataset.read(image.example).image.numpy())
        except UserError:
            return None

    threads = READ_THREADS if dataset.reads_files else 1
    with lenient_pillow(), collect_assumed_ranges(), ThreadPoolExecutor(threads) as pool:
        for done, (image, found) in enumerate(zip(images, pool.map(read, images), strict=True), 1):
            if found is not None:
                readable.append(image)
                prints.append(found)
            if tick is not None:
                tick(done, len(images))
    groups = [
        DuplicateGroup(
            "exact" if len({prints[i].digest for i in group}) == 1 else "near", tuple(readable[i] for i in group)
        )
        for group in _connected(len(readable), _similar_pairs(prints))
    ]
    return sorted(groups, key=lambda g: (not g.several_classes, not g.several_splits, g.kind, g.images[0].path))


def _print_of(pixels: np.ndarray) -> _Print:
    """The print of an image, uint8 `(3, H, W)`."""
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    digest = hashlib.blake2b(repr(pixels.shape).encode() + image.tobytes(), digest_size=16).digest()
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = int(np.packbits(grey[:, 1:] > grey[:, :-1]).view(">u8")[0])
    small = np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX), dtype=np.float32).ravel()
    small = small - small.mean()
    return _Print(digest, bits, small / max(float(np.linalg.norm(small)), 1e-6))


def _similar_pairs(prints: Sequence[_Print]) -> Iterator[tuple[int, int]]:
    """Pairs of images with equal pixels, or with similar hashes and thumbnails."""
    if not prints:
        return
    hashes = np.array([p.hash for p in prints], dtype=np.uint64).view(np.uint16).reshape(-1, 4)
    thumbnails = np.stack([p.thumbnail for p in prints])
    ones = np.array([i.bit_count() for i in range(1 << 16)], dtype=np.uint8)
    first: dict[bytes, int] = {}
    for i, one in enumerate(prints):
        if (same := first.setdefault(one.digest, i)) != i:
            yield same, i
    for start in range(0, len(prints), CHUNK):
        block = hashes[start : start + CHUNK]
        bits = sum(ones[block[:, None, k] ^ hashes[None, start:, k]].astype(np.uint8) for k in range(4))
        for i, j in np.argwhere(np.asarray(bits) <= MAX_BITS) + start:
            if i < j and float(thumbnails[i] @ thumbnails[j]) >= MIN_CORRELATION:
                yield int(i), int(j)


def _connected(count: int, pairs: Iterator[tuple[int, int]]) -> list[list[int]]:
    """Groups of at least two of `count` items that are connected by pairs, in order."""
    parents = list(range(count))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = i = parents[parents[i]]
        return i

    for i, j in pairs:
        a, b = sorted((root(i), root(j)))
        parents[b] = a
    groups: dict[int, list[int]] = {}
    for i in range(count):
        groups.setdefault(root(i), []).append(i)
    return [group for group in groups.values() if len(group) > 1]
