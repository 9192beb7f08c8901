"""A miniature Pascal VOC: noise images, annotations in the real format, masks whose values are labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

#: Images and the annotated names of the objects in them.
TRAIN = {
    "2007_000001": ["aeroplane"],
    "2007_000002": ["aeroplane", "person"],
    "2007_000003": ["bus", "car", "car"],
    "2007_000004": ["diningtable", "chair"],
    "2007_000005": ["pottedplant", "diningtable", "person"],
    "2007_000006": ["person"],
    "2007_000007": ["car"],
    "2007_000008": ["tvmonitor", "chair"],
}
MORE = {"2008_000001": ["bus"], "2008_000002": ["person", "aeroplane"]}
VAL = {
    "2007_000101": ["aeroplane"],
    "2007_000102": ["person", "car"],
    "2007_000103": ["chair", "diningtable"],
    "2007_000104": ["bus"],
    "2007_000105": ["tvmonitor"],
}
HOMES = ("voc12data/VOCdevkit/VOC2012", "VOCdevkit/VOC2012", "VOCtrainval_11-May-2012/VOCdevkit/VOC2012")


def annotation(objects: Sequence[str]) -> str:
    inside = "".join(
        f"<object><name>{o}</name><difficult>{i % 2}</difficult><bndbox><xmin>1</xmin></bndbox>"
        f"<part><name>head</name></part></object>"
        for i, o in enumerate(objects)
    )
    return f"<annotation><folder>VOC2012</folder><source><database>x</database></source>{inside}</annotation>"


def labels(seed: int) -> np.ndarray:
    """A mask 24 high and 32 wide: background, an object with a void border, another object."""
    mask = np.zeros((24, 32), np.uint8)
    mask[4:20, 4:16] = 255
    mask[5:19, 5:15] = 1 + seed % 20
    mask[8:12, 20:30] = 15
    return mask


def write_voc(root: Path, home: str = HOMES[0], *, long: bool = True, masks: str = "SegmentationClassAug") -> Path:
    """Write the dataset under `root`; `long`: with the long training list, whose masks are grey files in `masks`."""
    folder = root / home
    sets = folder / "ImageSets" / "Segmentation"
    for part in ("JPEGImages", "Annotations", "SegmentationClass", masks):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sets.mkdir(parents=True)
    everything: Mapping[str, Sequence[str]] = TRAIN | MORE | VAL
    rng = np.random.default_rng(0)
    for seed, (key, objects) in enumerate(everything.items()):
        Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).save(folder / "JPEGImages" / f"{key}.jpg")
        (folder / "Annotations" / f"{key}.xml").write_text(annotation(objects))
        if key not in MORE:  # official masks are palette images
            coloured = Image.fromarray(labels(seed)).convert("L")
            coloured.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
            coloured.save(folder / "SegmentationClass" / f"{key}.png")
        if long:
            Image.fromarray(labels(seed)).save(folder / masks / f"{key}.png")
    (sets / "train.txt").write_text("".join(f"{k}\n" for k in TRAIN))
    (sets / "val.txt").write_text("".join(f"{k}\n" for k in VAL))
    (sets / "trainval.txt").write_text("".join(f"{k}\n" for k in TRAIN | VAL))
    if long:
        line = "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png\n"
        (sets / "trainaug.txt").write_text("".join(line.format(k) for k in TRAIN | MORE))
    return root
