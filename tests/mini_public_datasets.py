"""Miniature public datasets for tests: small JPEGs at the paths of a split, in any layout."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import sys
import types
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from PIL import Image

from cliptune.data import sources
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.spec import DatasetSpec, Layout
from cliptune.types import Example

#: The published split files, if available.
SPLITS = Path(__file__).parents[2] / "shared" / "data" / "splits"
PARTS = ("train", "val", "test")
#: The miniatures warn that they are not the published datasets.
miniature = pytest.mark.filterwarnings("ignore:.* is not the published split of .*:UserWarning")
#: File name pattern of a dataset, and some of its classes as (folder or stem, name); {n} counts over all splits.
FORMS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "caltech101": (
        "{folder}/image_{n:04}.jpg",
        (("Faces", "face"), ("Leopards", "leopard"), ("Motorbikes", "motorbike"), ("accordion", "accordion")),
    ),
    "oxford_pets": (
        "{folder}_{n}.jpg",
        (("Abyssinian", "abyssinian"), ("american_bulldog", "american_bulldog"), ("Bombay", "bombay"), ("pug", "pug")),
    ),
    "stanford_cars": (
        "cars_{cut}/{n:05}.jpg",
        (("", "2000 AM General Hummer SUV"), ("", "2012 Audi TTS Coupe"), ("", "2012 BMW X6 SUV"), ("", "1993 Geo")),
    ),
    "oxford_flowers": (
        "image_{n:05}.jpg",
        (("", "pink primrose"), ("", "hard-leaved pocket orchid"), ("", "passion flower"), ("", "sweet pea")),
    ),
    "food101": (
        "{folder}/{n}5649.jpg",
        tuple((x, x) for x in ("apple_pie", "baby_back_ribs", "baklava", "waffles")),
    ),
    "fgvc_aircraft": ("{n:07}.jpg", tuple(("", x) for x in ("707-320", "Boeing 717", "F-16A/B", "Yak-42"))),
    "sun397": (
        "{folder}/sun_{n:08}.jpg",
        (
            ("a/abbey", "abbey"),
            ("a/apse/indoor", "indoor apse"),
            ("a/arrival_gate/outdoor", "outdoor arrival_gate"),
            ("z/zen_garden", "zen_garden"),
        ),
    ),
    "dtd": ("{folder}/{folder}_{n:04}.jpg", tuple((x, x) for x in ("banded", "dotted", "polka-dotted", "zigzagged"))),
    "eurosat": (
        "{folder}/{folder}_{n}.jpg",
        (
            ("AnnualCrop", "Annual Crop Land"),
            ("Forest", "Forest"),
            ("Highway", "Highway or Road"),
            ("SeaLake", "Sea or Lake"),
        ),
    ),
    "ucf101": (
        "{folder}/v_{name}_g{n:02}_c01.jpg",
        tuple((x, x) for x in ("Apply_Eye_Makeup", "Archery", "Yo_Yo", "Tai_Chi")),
    ),
}
#: The form of a dataset that `FORMS` does not list.
DEFAULT_FORM = ("{folder}/{n}.jpg", tuple((f"class_{i}", f"class {i}") for i in range(4)))
Split = dict[str, list[list]]


def mini_split(spec: DatasetSpec, classes: int = 4, each: tuple[int, int, int] = (3, 2, 2)) -> Split:
    """A few classes and images of the published split if available, otherwise invented ones of the same form."""
    published = SPLITS / spec.split_file
    return (
        first_of_split(published, classes, each)
        if spec.split_file and published.is_file()
        else make_split(spec, classes, each)
    )


def first_of_split(published: Path, classes: int, each: tuple[int, int, int]) -> Split:
    """The first images of the first classes of a split file, with real paths and names, labels from 0."""
    return _reduced(published, classes, each)


@cache
def _reduced(published: Path, classes: int, each: tuple[int, int, int]) -> Split:
    content = json.loads(published.read_text(encoding="utf-8"))
    labels = list(dict.fromkeys(label for _, label, _ in content["train"]))[:classes]
    position = {label: i for i, label in enumerate(sorted(labels))}
    return {
        part: [
            [path, position[label], name]
            for expected in labels
            for path, label, name in [item for item in content[part] if item[1] == expected][:count]
        ]
        for part, count in zip(PARTS, each, strict=True)
    }


def make_split(spec: DatasetSpec, classes: int = 4, each: tuple[int, int, int] = (3, 2, 2)) -> Split:
    """An invented split of the form of the published one."""
    pattern, known = FORMS.get(spec.name, DEFAULT_FORM)
    split: Split = {part: [] for part in PARTS}
    n = 0
    for label, (folder, name) in enumerate(known[:classes]):
        for part, count in zip(PARTS, each, strict=True):
            for _ in range(count):
                n += 1
                cut = "test" if part == "test" else "train"
                path = pattern.format(folder=folder, name=name.replace("_", ""), n=n, cut=cut)
                split[part].append([path, label, name])
    return split


def write_dataset(
    spec: DatasetSpec, root: Path, layout: Layout | None = None, split: Split | None = None, size: int = 48
) -> Split:
    """Write a dataset under `root`: its images, and its split file or lists. Returns the split."""
    layout, split = layout or spec.layouts[0], split or mini_split(spec)
    home = root / layout.home
    write_images(home / layout.images, [item for part in PARTS for item in split[part]], size)
    if spec.split_file:
        (home / spec.split_file).write_text(json.dumps(split), encoding="utf-8")
    for name in spec.list_files:
        part = name.removesuffix(".txt").rpartition("_")[2]
        names = dict.fromkeys(item[2] for item in sorted(split["train"], key=lambda item: item[1]))
        lines = [f"{Path(path).stem} {called}" for path, _, called in split[part]] if part in PARTS else names
        (home / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return split


def open_dataset(name: str, root: Path, **reading: Any) -> Dataset:
    """Open a dataset by name, under `root`."""
    return sources.get(name, DataConfig(root=str(root), **reading))


def write_images(folder: Path, items: Sequence[Sequence], size: int = 48) -> None:
    """A JPEG of `size` pixels at each item's path, with the colours of its label."""
    made: set[Path] = set()
    for path, label, *_ in items:
        file = folder / path
        if file.parent not in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            made.add(file.parent)
        file.write_bytes(jpeg(label, size))


@cache
def jpeg(label: int, size: int = 48) -> bytes:
    """A JPEG of two colours determined by a label."""
    rng = random.Random(label)
    image = Image.new("RGB", (size, size), tuple(rng.choices(range(256), k=3)))
    image.paste(tuple(rng.choices(range(256), k=3)), (size // 4, size // 4, size // 2, size // 2))
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    return stream.getvalue()


def write_class_folders(folder: Path, names: Iterable[str], each: int = 1) -> None:
    """Write `each` JPEGs into a folder per name, as links to one file, so that a thousand classes are fast."""
    folder.mkdir(parents=True, exist_ok=True)
    one = folder.parent / f".{folder.name}.jpg"
    one.write_bytes(jpeg(0))
    for name in names:
        (folder / name).mkdir()
        for number in range(each):
            os.link(one, folder / name / f"{name}_{number}.JPEG")
    one.unlink()


class Datum:
    """Like an entry of the lists that Dassl pickles."""

    def __init__(self, impath: str, label: int, classname: str = ""):
        self._impath, self._label, self._domain, self._classname = impath, label, 0, classname


def write_pickled_draw(
    file: Path,
    *,
    images: str = "/home/someone/data/set/images/",
    module: str = "dassl.data.datasets.base_dataset",
    protocol: int = pickle.HIGHEST_PROTOCOL,
    **parts: Iterable[Example],
) -> Path:
    """Pickle a draw of `parts` (train=..., val=...), as if its class were in `module` and its images in `images`."""
    steps = module.split(".")
    homes = {m: types.ModuleType(m) for m in (".".join(steps[: i + 1]) for i in range(len(steps)))}
    vars(homes[module])["Datum"] = Datum
    lists = {part: [Datum(images + e.key, e.label) for e in examples] for part, examples in parts.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    with mock.patch.dict(sys.modules, homes), mock.patch.object(Datum, "__module__", module):
        file.write_bytes(pickle.dumps(lists, protocol))
    return file
