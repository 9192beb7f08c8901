"""Inputs of the jobs that jobs.py times: photographs, tables, records and folders of many files."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cliptune.results.store import save_result
from cliptune.types import Result

CLASSES = ("cat", "dog", "horse", "pig", "sheep", "cow", "goat", "hen", "duck", "mouse")
#: Classes of EuroSAT and their folders, for a split file of any size.
FOLDERS = (
    *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop"),
    *("Residential", "River", "SeaLake"),
)
SHOTS = 4


def write_photo(path: Path, number: int, label: int) -> None:
    """A JPEG of 500 x 375 pixels: smooth noise with an object in the colour of its class."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    colour = np.array([128 + 100 * math.cos(label + shift) for shift in (0, 2, 4)])
    top, left = rng.integers(2, 8, 2)
    coarse[top : top + 12, left : left + 16] = colour.clip(0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)


def photo_folder(folder: Path, count: int) -> str:
    """A folder dataset with `count` images for training and as many for testing."""
    for part, first in (("train", 0), ("test", count)):
        for i in range(count):
            label = i % len(CLASSES)
            write_photo(folder / part / CLASSES[label] / f"{i:06d}.jpg", first + i, label)
    return f"folder:{folder}"


def large_table(folder: Path, count: int) -> str:
    """A table of `count` training images, of which few are ever read, and of 20 test images."""
    lines = [f"train/{i % len(CLASSES)}/{i:07d}.jpg,{CLASSES[i % len(CLASSES)]},train" for i in range(count)]
    lines += [f"test/{i:02d}.jpg,{CLASSES[i % len(CLASSES)]},test" for i in range(20)]
    for line in lines:
        path = folder / line.partition(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for i in range(20):
        write_photo(folder / f"test/{i:02d}.jpg", i, i % len(CLASSES))
    table = folder / "images.csv"
    table.write_text("path,label,split\n" + "\n".join(lines) + "\n")
    _write_drawn(table)
    return f"csv:{table}"


def _write_drawn(table: Path) -> None:
    """Write the images that the first seed draws; the others stay empty files."""
    from cliptune.data import sources
    from cliptune.data.config import DataConfig

    train, _ = sources.get(f"csv:{table}", DataConfig()).draw(SHOTS, 1)
    for example in train:
        assert example.path is not None
        write_photo(example.path, example.label, example.label)


def public_dataset(root: Path, count: int) -> str:
    """EuroSAT's layout and split file with `count` tiny images."""
    home, content = root / "eurosat", {"train": [], "val": [], "test": []}
    tiny = root / "tiny.jpg"
    root.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(tiny)
    data = tiny.read_bytes()
    for i in range(count):
        label = i % len(FOLDERS)
        name = f"{FOLDERS[label]}/{FOLDERS[label]}_{i // len(FOLDERS) + 1}.jpg"
        path = home / "2750" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        content[("train", "val", "test")[i % 3]].append([name, label, FOLDERS[label]])
    (home / "split_zhou_EuroSAT.json").write_text(json.dumps(content))
    return str(root)


def records(folder: Path, count: int, methods: Sequence[str] = ("coop", "kgcoop", "maple", "maple+dapt")) -> str:
    """`count` records of several methods, data and seeds, with histories."""
    rng = random.Random(0)
    for i in range(count):
        method, seed = methods[i % len(methods)], 1 + i // len(methods) % 3
        data = f"data{i // (3 * len(methods))}"
        rows = tuple({"epoch": epoch, "lr": 0.1, "loss": 3 / (1 + epoch), "ce": 2 / (1 + epoch)} for epoch in range(20))
        result = Result(
            task=f"base_to_novel/{data}/16/{seed}",
            method=method,
            data=data,
            seed=seed,
            metrics={"base": 60 + 10 * rng.random(), "novel": 40 + 10 * rng.random()},
            config={"method": {"name": method.partition("+")[0]}, "shots": 16, "seed": seed, "data": data},
            cost={"seconds": 1.0, "parameters": 512.0},
            history=rows,
            provenance={"backbone": "tiny", "backbone_fingerprint": "0", "test_images": {"base": 100, "novel": 100}},
        )
        (run := folder / data / method / f"seed{seed}").mkdir(parents=True, exist_ok=True)
        save_result(result, run)
    return str(folder)
