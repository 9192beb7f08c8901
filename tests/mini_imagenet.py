"""Miniature ImageNet and its variants: every class folder, one image under many names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cliptune.data.public.common.wnids import wnids

NUMBERS = tuple(str(i) for i in range(1000))
#: Source -> its folder of class folders in the CoOp layout, and the names of those.
SETS = {
    "imagenetv2": ("imagenetv2/imagenetv2-matched-frequency-format-val", NUMBERS),
    "imagenet_sketch": ("imagenet-sketch/images", wnids()),
    "imagenet_a": ("imagenet-adversarial/imagenet-a", wnids("a")),
    "imagenet_r": ("imagenet-rendition/imagenet-r", wnids("r")),
}


def write_wnid_folders(folder: Path, classes: Sequence[str], files: Sequence[str]) -> Path:
    """Write `folder/<class>/<file>` as links to one JPEG file; `{}` in a file name is replaced by its class."""
    folder.mkdir(parents=True)
    image = folder.parent / "image.bin"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)).save(image, "JPEG")
    for name in classes:
        (folder / name).mkdir()
        for file in files:
            os.link(image, folder / name / file.format(name))
    image.unlink()
    return folder


def write_imagenet(images: Path, train: Sequence[str] = ("{}_10.JPEG", "{}_9.JPEG", "{}_1.JPEG")) -> None:
    """Write `train` and `val` in `images`."""
    if train:
        write_wnid_folders(images / "train", wnids(), train)
    write_wnid_folders(images / "val", wnids(), ("ILSVRC2012_val_{}.JPEG",))
