"""Results on photographs with the bundled photo backbone. `make results-photos ROOT=FOLDER`

    .venv/bin/python benchmarks/photos.py --root ROOT --rows caltech                 base-to-novel, published split
    .venv/bin/python benchmarks/photos.py --root ROOT --rows shots                   1 to 16 shots
    .venv/bin/python benchmarks/photos.py --root ROOT --rows scenes                  Tiny ImageNet, boxes as foregrounds
    .venv/bin/python benchmarks/photos.py --root ROOT --rows transfer                from Tiny ImageNet to other data

ROOT contains caltech-101 with its published split, as for `--data caltech101`; tiny-imagenet-200 as distributed; for
transfer also imagenette/val (a folder per WordNet ID), imagenette-32/val (the same, shorter side of 32 pixels) and
cifar10/test (a folder per class). Of Tiny ImageNet, only the 10,000 validation images are read: pretraining saw the
training images. A rerun does only what is missing; records and tables are copied to benchmarks/results/photos. To use
several cores, see results.py.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from choose import CHOSEN
from keep import RESULTS
from tables import TableOptions, make_table

from cliptune import config, presets
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.files import write_text

RECORDS = RESULTS / "photos"
#: Training images per class of Tiny ImageNet's validation images; the other 34 are for testing.
SHOTS = 16
OLDER = (
    *("zeroshot", "tip_adapter_f", "linear_probe", "coop", "cocoop", "kgcoop", "prograd", "vpt", "maple", "promptsrc"),
    *("restore", "dpl"),
)
NEWER = ("taskres", "tcp", "mmrl", "mmrlpp", "clip_lora", "two_stage_fs", "coop+dept", "coop+atprompt")
WRAPPED = ("coop", "kgcoop", "maple", "promptsrc")
Rows = list[tuple[str, RunConfig]]


@dataclass(frozen=True)
class Options(TableOptions):
    """Rows, data and output."""

    root: Path = Path("photos")
    """Folder of the photographs."""
    rows: Literal["caltech", "shots", "scenes", "transfer"] = "caltech"
    """The table to make."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of each row."""
    out: Path = Path("runs/photos")
    """Folder for checkpoints and records."""


def caltech_rows(base: dict[str, Any], options: Options) -> Rows:
    """Caltech-101 base-to-novel: methods alone, with DAPT, and MaPLe's controls; the model provides foregrounds."""
    base |= {"data": "caltech101", "protocol": "base_to_novel"}
    rows = [(name, presets.get(name, **base)) for name in (*OLDER, *NEWER)]
    rows += [(f"{name}+dapt", with_masks(presets.get(f"{name}+dapt", **base), "gradcam")) for name in WRAPPED]
    return rows + controls(base, "gradcam")


def scenes_rows(base: dict[str, Any], options: Options) -> Rows:
    """Tiny ImageNet base-to-novel: DAPT with boxes and the model's foregrounds, two weights, and its controls."""
    base |= {"data": tiny_imagenet(options), "protocol": "base_to_novel", "shots": SHOTS}
    rows = [(name, presets.get(name, **base)) for name in ("zeroshot", *WRAPPED)]
    dapt = presets.get("maple+dapt", **base)
    rows += [("maple+dapt", with_masks(dapt, "data")), ("maple+dapt, foreground 1", with_masks(dapt, "data", CHOSEN))]
    rows += [(f"maple+dapt, {masks}", with_masks(dapt, masks)) for masks in ("gradcam", "maskclip")]
    return rows + controls(base, "data")


def shots_rows(base: dict[str, Any], options: Options) -> Rows:
    """Caltech-101 with 1 to 16 training images of each of its 100 classes."""
    base |= {"data": "caltech101", "protocol": "few_shot"}
    names = ("zeroshot", "tip_adapter_f", "linear_probe", *WRAPPED)
    return [(name, presets.get(name, **base, shots=shots)) for name in names for shots in (1, 2, 4, 8, 16)]


def transfer_rows(base: dict[str, Any], options: Options) -> Rows:
    """From Tiny ImageNet's 200 classes to other data, without further training."""
    folders = ("imagenette/val", "imagenette-32/val", "cifar10/test")
    targets = ("caltech101", *(folder_table(options, folder) for folder in folders))
    base |= {"data": tiny_imagenet(options), "protocol": "cross_dataset", "shots": SHOTS, "targets": targets}
    rows = [(name, presets.get(name, **base)) for name in ("zeroshot", *WRAPPED)]
    return [*rows, ("maple+dapt", with_masks(presets.get("maple+dapt", **base), "data"))]


def controls(base: dict[str, Any], masks: str) -> Rows:
    """MaPLe for three times the steps, and with an augmentation that uses the same masks."""
    maple = presets.get("maple", **base)
    return [
        ("maple, 3x steps", config.with_options(maple, {"epochs": 3 * maple.training.epochs})),
        ("maple+copypaste", with_masks(presets.get("maple+copypaste", **base), masks)),
    ]


def with_masks(run: RunConfig, masks: str, settings: dict[str, Any] | None = None) -> RunConfig:
    """The run with a mask source, and other settings."""
    return config.with_options(run, {"masks_from": masks, **(settings or {})})


def tiny_imagenet(options: Options) -> str:
    """A table of Tiny ImageNet's validation images: the first of each class for training, the box of each image."""
    folder, seen, lines = "tiny-imagenet-200/val", Counter[str](), []
    with (options.root / folder / "val_annotations.txt").open(encoding="utf-8") as f:
        for name, label, *box in csv.reader(f, delimiter="\t"):
            seen[label] += 1
            left, top, right, bottom = map(int, box)  # the last row and column are inside
            split = "train" if seen[label] <= SHOTS else "test"
            lines.append((f"{folder}/images/{name}", label, split, left, top, right + 1, bottom + 1))
    return write_table(options, "tiny-imagenet", ("path", "label", "split", "xmin", "ymin", "xmax", "ymax"), lines)


def folder_table(options: Options, folder: str) -> str:
    """A table of the images in the class folders of a folder, without splits: all of them are tested."""
    files = sorted(file.relative_to(options.root) for file in (options.root / folder).glob("*/*.*"))
    lines = [(file.as_posix(), file.parent.name) for file in files]
    return write_table(options, folder.partition("/")[0], ("path", "label"), lines)


def write_table(options: Options, name: str, header: tuple[str, ...], lines: list[tuple]) -> str:
    """Write a table with paths relative to the root; return its name as for --data."""
    file = options.out / f"{name}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, "\n".join(",".join(map(str, line)) for line in (header, *lines)) + "\n")
    return f"csv:{file}"


ROWS = {"caltech": caltech_rows, "shots": shots_rows, "scenes": scenes_rows, "transfer": transfer_rows}
COLUMNS = {
    "caltech": ("base", "novel", "hm"),
    "scenes": ("base", "novel", "hm"),
    "shots": ("test",),
    "transfer": ("source", "caltech101", "imagenette", "imagenette-32", "cifar10", "average"),
}


#: Folders that tell the runs of one label apart.
BELOW = {"shots": lambda run: f"{run.shots}_shots"}


def main(options: Options) -> None:
    """Run what is missing, print the table and copy the records."""
    base = {"backbone": "photo", "reading": DataConfig(root=str(options.root.resolve()))}
    rows = ROWS[options.rows](base, options)
    out, records, columns = options.out / options.rows, RECORDS / options.rows, COLUMNS[options.rows]
    make_table(rows, options, out, records, options.rows, columns, below=BELOW.get(options.rows, lambda run: ""))


if __name__ == "__main__":
    main(tyro.cli(Options))
