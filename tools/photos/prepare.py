"""Decodes the photographs of `sources.yaml` once, for `pretrain.py`: uint8 arrays and a table.

    python prepare.py --root SOURCES --split-file split_zhou_Caltech101.json --out OUT

SOURCES contains a checkout of each repository as OWNER+NAME. OUT receives

- `images_SIZE.npy` (n, SIZE, SIZE, 3): center squares, short side resized to SIZE (bicubic, antialiased);
- `images.csv`: array, row, source, split, label, name, path, dropped, of every image. `dropped` names what the image
  repeats; such an image must not be trained on;
- `classes.csv`: source, label, name, synonyms, images per split.

The split is train, eval or newcomer; or pool, the published training images of Caltech-101, for few-shot experiments
only. A training image that repeats an image of another split is dropped: any whose difference hash differs in few
bits, confirmed by the correlation of their pixels; and any of the same class name that correlates when one of them was
squashed and the other cropped.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
PUBLISHED = {"train": "pool", "val": "train", "test": "eval"}
HASH_BITS, CORRELATION = 12, 0.93  # largest difference of hashes; smallest correlation of 16 by 16 colour pixels
WHOLE = (0.0, 0.0, 1.0, 1.0)
# A collection that squashes photographs of 4:3, 3:2 or 5:4 into squares shows what others crop in these bands.
BANDS = [((1 - f) / 2, 0.0, (1 + f) / 2, 1.0) for f in (3 / 4, 2 / 3, 4 / 5)]
BANDS += [(top, left, bottom, right) for left, top, right, bottom in BANDS]


@dataclass
class Photo:
    """One image file and its row in the table."""

    path: Path
    source: str
    split: str
    label: str
    name: str
    size: int
    row: int = -1
    dropped: str = ""
    hashes: list[int] = field(default_factory=list)


def clean_name(label: str) -> str:
    """Return the folder's name as words: no separators, leading numbers or capitals."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", label)  # camelCase
    return re.sub(r"[\s_+.-]+", " ", re.sub(r"^\d+[\s._-]+", "", words)).strip().lower()


def square(image: Image.Image, size: int) -> Image.Image:
    """Return the center square with sides of `size` pixels."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def difference_hash(image: Image.Image) -> int:
    """Return 64 bits: whether brightness rises between horizontal neighbours of 9 by 8 pixels."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int(np.packbits(grey[:, 1:] > grey[:, :-1]).view(">u8")[0])


def wordnet_names(root: Path, sources: list[dict]) -> tuple[dict[str, str], dict[str, str]]:
    """Return open_clip's names of the ImageNet classes and WordNet's words for all ids, by WordNet id."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    folder = {s["source"]: root / s["repository"].replace("/", "+") for s in sources}
    ids = sorted(f.name.split("_")[0] for f in folder["imagenet-samples"].glob("n*.JPEG"))
    words = (folder["tiny-imagenet"] / "tiny-imagenet-200/words.txt").read_text().splitlines()
    return dict(zip(ids, IMAGENET_CLASSNAMES, strict=True)), dict(line.split("\t") for line in words)


def find_photos(root: Path, source: dict, published: dict, names: dict, words: dict) -> Iterator[Photo]:
    """Yield the photographs of a source in the order of their paths."""
    folder = root / source["repository"].replace("/", "+")
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    for part in source["parts"]:
        listed = {}
        if "lists" in part:
            listed = dict(line.split("\t")[:2] for line in (folder / part["lists"]).read_text().splitlines())
        for path in paths:
            found = re.fullmatch(part["files"], path)
            if not found:
                continue
            split, label = part["split"], found.groupdict().get("label")
            if split == "published":
                if found["name"] not in published:
                    continue
                split, label = published[found["name"]]
            label = label or listed[found["name"]]
            if label not in source.get("drop", ()):
                name = source.get("names", {}).get(label) or names.get(label)
                name = name or words.get(label, "").split(",")[0] or clean_name(label)
                yield Photo(folder / path, source["source"], split, label, name, part["size"])


def decode(photo: Photo, out: np.ndarray) -> None:
    """Write the photograph to its row, and its hashes (center square, whole image); `dropped` if it is unreadable."""
    try:
        with Image.open(photo.path) as image:
            image.draft("RGB", (2 * photo.size, 2 * photo.size))
            image = ImageOps.exif_transpose(image).convert("RGB")
            small = square(image, photo.size)
            photo.hashes = [difference_hash(small), difference_hash(image)]
        out[photo.row] = np.asarray(small)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        photo.dropped = f"unreadable: {type(error).__name__}"


def thumbnails(photos: list[Photo], arrays: dict[int, np.ndarray], box: tuple = WHOLE) -> np.ndarray:
    """Return (n, 768): 16 by 16 colour pixels of a part, standardised, so that dot products are correlations."""
    flat = np.empty((len(photos), 768), dtype=np.float32)
    for i, p in enumerate(photos):
        part = tuple(p.size * edge for edge in box)
        flat[i] = np.asarray(
            Image.fromarray(arrays[p.size][p.row]).resize((16, 16), Image.Resampling.BOX, part)
        ).ravel()
    flat -= flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def drop_repeats_of_class(photos: list[Photo], arrays: dict[int, np.ndarray]) -> None:
    """Mark each training image that repeats an image of another split and the same name, cropped or squashed."""
    groups: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for p in photos:
        if not p.dropped:
            groups[p.name.lower()][p.split != "train"].append(p)
    for train, kept in groups.values():
        if not train or not kept:
            continue
        left, right = thumbnails(train, arrays), thumbnails(kept, arrays)
        alike = left @ right.T
        for box in BANDS:
            np.maximum(alike, thumbnails(train, arrays, box) @ right.T, out=alike)
            np.maximum(alike, left @ thumbnails(kept, arrays, box).T, out=alike)
        for x in np.flatnonzero(alike.max(1) > CORRELATION):
            mark(train[x], kept[alike[x].argmax()])


def mark(photo: Photo, other: Photo) -> None:
    """Note what a training image repeats."""
    photo.dropped = f"repeats {other.source} {other.split}: {other.label} {other.path.name}"


def drop_repeats(photos: list[Photo], arrays: dict[int, np.ndarray]) -> None:
    """Mark each training image that repeats an image of another split."""
    train = [p for p in photos if p.split == "train" and not p.dropped]
    kept = [p for p in photos if p.split != "train" and not p.dropped]
    squares, wholes = np.array([p.hashes for p in train], dtype=np.uint64).T.copy()
    a, b = [], []
    for j, other in enumerate(kept):
        square_hash, whole_hash = (np.uint64(h) for h in other.hashes)
        bits = np.minimum(np.bitwise_count(squares ^ square_hash), np.bitwise_count(wholes ^ whole_hash))
        near = np.flatnonzero(bits <= HASH_BITS)
        a.append(near)
        b.append(np.full(len(near), j))
    a, b = np.concatenate(a), np.concatenate(b)
    left, right = thumbnails(train, arrays), thumbnails(kept, arrays)
    for start in range(0, len(a), 100_000):
        i, j = a[start : start + 100_000], b[start : start + 100_000]
        for x, y in zip(*(k[(left[i] * right[j]).sum(1) > CORRELATION] for k in (i, j)), strict=True):
            mark(train[x], kept[y])


def write_tables(photos: list[Photo], root: Path, out: Path, synonyms: dict[str, str]) -> None:
    """Write images.csv and classes.csv."""
    counts: dict[tuple, Counter] = defaultdict(Counter)
    with (out / "images.csv").open("w", newline="") as f:
        table = csv.writer(f)
        table.writerow(["array", "row", "source", "split", "label", "name", "path", "dropped"])
        for p in photos:
            counts[p.source, p.label, p.name]["dropped" if p.dropped else p.split] += 1
            where = p.path.relative_to(root).as_posix()
            table.writerow([f"images_{p.size}", p.row, p.source, p.split, p.label, p.name, where, p.dropped])
    with (out / "classes.csv").open("w", newline="") as f:
        table = csv.writer(f)
        splits = ["train", "eval", "pool", "newcomer", "dropped"]
        table.writerow(["source", "label", "name", "synonyms", *splits])
        for (source, label, name), n in sorted(counts.items()):
            table.writerow([source, label, name, synonyms.get(label, ""), *(n[s] for s in splits)])


def main() -> None:
    """Decode everything and print the numbers of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with a checkout OWNER+NAME per repository")
    parser.add_argument("--split-file", type=Path, required=True, help="split_zhou_Caltech101.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the arrays and tables")
    parser.add_argument("--sources", type=Path, default=HERE / "sources.yaml")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sources = yaml.safe_load(args.sources.read_text())
    split_file = json.loads(args.split_file.read_text())
    published = {row[0]: (PUBLISHED[part], row[2]) for part, rows in split_file.items() for row in rows}
    names, synonyms = wordnet_names(args.root, sources)
    photos = [p for s in sources for p in find_photos(args.root, s, published, names, synonyms)]
    sizes = Counter(p.size for p in photos)
    arrays = {}
    for size, count in sizes.items():
        shape = (count, size, size, 3)
        arrays[size] = np.lib.format.open_memmap(args.out / f"images_{size}.npy", "w+", np.uint8, shape)
        for row, p in enumerate(p for p in photos if p.size == size):
            p.row = row
    with ThreadPoolExecutor(args.threads) as pool:
        list(pool.map(lambda p: decode(p, arrays[p.size]), photos))
    drop_repeats(photos, arrays)
    drop_repeats_of_class(photos, arrays)
    write_tables(photos, args.root, args.out, synonyms)
    for key, n in sorted(Counter((p.source, p.split, p.dropped.split(":")[0]) for p in photos).items()):
        print(*key, n)


if __name__ == "__main__":
    main()
