"""Speed of cliptune's loader relative to the textbook transform, in one process.

    .venv/bin/python benchmarks/loading.py --images FOLDER --out benchmarks/results/loading.json

Textbook: open with Pillow, RandomResizedCrop, flip, ToTensor, Normalize, collate. Both crop the same boxes.
"exact" resizes with Pillow (--exact-resize). The floor is decoding alone, the lower bound of a first epoch.
Without a folder, images are generated.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
import torch
from measure import alternate, machine
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision import transforms as T
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import functional as F

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import RandomCropFlip
from cliptune.files import CACHE_VARIABLE
from cliptune.types import Example

HERE = Path(__file__).parent
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZE, BATCH, CPU = 224, 32, torch.device("cpu")
#: Views per image that are compared.
CROPS = 8
#: Least speed relative to the textbook.
TARGETS = {"first epoch": 2.3, "later epoch": 6.0, "evaluation, cached": 10.0}


class Files(Dataset):
    """Image files of one class."""

    name, classnames = "files", ("image",)

    def __init__(self, files: Sequence[Path], config: DataConfig):
        self.files, self.reading = files, config

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Files:
        return cls(sorted(Path(argument).iterdir()), config)

    def examples(self, split: str) -> list[Example]:
        return [Example(path.name, 0, path) for path in self.files]


class Textbook(torch.utils.data.Dataset):
    """The transform of released code, with cliptune's boxes and flips, so that pixels can be compared."""

    def __init__(self, examples: ExampleSet, training: bool, epoch: int = 0):
        self.examples, self.training, self.epoch = examples, training, epoch
        self.finish = T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])
        self.evaluation = T.Compose([T.Resize(SIZE, T.InterpolationMode.BICUBIC), T.CenterCrop(SIZE)])

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Tensor:
        return self.finish(self.pixels(i))

    def pixels(self, i: int) -> Image.Image:
        path = self.examples.examples[i].path
        assert path is not None
        image = Image.open(path).convert("RGB")
        if not self.training:
            return self.evaluation(image)
        augment, stream = self.examples.augment, random_stream(self.examples, i, self.epoch)
        assert isinstance(augment, RandomCropFlip)
        box = augment.box(image.height, image.width, stream)
        image = F.crop(image, *box)
        image = F.resize(image, [SIZE, SIZE], T.InterpolationMode.BICUBIC)
        return F.hflip(image) if stream.random() < augment.flip else image


def random_stream(examples: ExampleSet, i: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[examples.seed, (epoch << 32) + i]))


class Bench:
    """The workloads, each in several variants; every call processes all images once."""

    def __init__(self, images: Path, folder: str):
        self.files, self.folder = sorted(p for p in images.iterdir() if p.is_file()), folder
        self.count = len(self.files)
        self.cached, self.exact = self.examples(True), self.examples(True, exact=True)

    def pixels(self) -> float:
        """Mean number of pixels per image."""
        return sum(np.prod(Image.open(path).size) for path in self.files) / self.count

    def examples(self, cached: bool, training: bool = True, exact: bool = False) -> ExampleSet:
        dataset = Files(self.files, DataConfig(cache=cached))
        augment = RandomCropFlip(SIZE, exact=exact) if training else None
        preprocess = Preprocess((SIZE, SIZE), mean=MEAN, std=STD)
        return ExampleSet(dataset, dataset.examples("train"), preprocess, augment=augment, seed=1)

    def textbook(self, training: bool = True) -> float:
        batches = torch.utils.data.DataLoader(Textbook(self.examples(False, training), training), BATCH)
        return self.total(batches)

    def first(self, exact: bool = False) -> float:
        """Decode and crop, without a cache."""
        return self.total(b.images for b in self.examples(False, exact=exact).in_order(BATCH, CPU))

    def filling(self) -> float:
        """The same, storing decoded images in an empty cache folder."""
        os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(dir=self.folder)
        try:
            return self.total(b.images for b in self.examples(True).in_order(BATCH, CPU))
        finally:
            os.environ[CACHE_VARIABLE] = self.folder

    def another_run(self) -> float:
        """First epoch of a run that finds the images in the cache."""
        return self.total(b.images for b in self.examples(True).in_order(BATCH, CPU))

    def later(self, exact: bool = False) -> float:
        """Another epoch of the same run."""
        return self.total(b.images for b in (self.exact if exact else self.cached).in_order(BATCH, CPU))

    def evaluation(self, cached: bool) -> float:
        return self.total(b.images for b in self.examples(cached, training=False).in_order(BATCH, CPU))

    def total(self, batches) -> float:
        return float(sum(batch[:, :, ::16, ::16].abs().sum().item() for batch in batches))

    def variants(self) -> dict[str, dict[str, Callable[[], float]]]:
        return {
            "training": {
                "textbook": self.textbook,
                "first epoch": self.first,
                "first epoch, filling the cache": self.filling,
                "first epoch of another run": self.another_run,
                "later epoch": self.later,
                "first epoch, exact": lambda: self.first(True),
                "later epoch, exact": lambda: self.later(True),
            },
            "evaluation": {
                "textbook": lambda: self.textbook(False),
                "evaluation": lambda: self.evaluation(False),
                "evaluation, cached": lambda: self.evaluation(True),
            },
            "floor": {
                "decoding by Pillow": lambda: float(sum(len(Image.open(p).convert("RGB").size) for p in self.files)),
                "decoding": lambda: float(sum(self._decoded(path).ndim - 1 for path in self.files)),
            },
        }

    @staticmethod
    def _decoded(path: Path) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision announces that it will drop decoding
            return decode_jpeg(read_file(str(path)), ImageReadMode.RGB)

    def difference(self, training: bool, exact: bool = False) -> dict[str, int | float]:
        """Differences from the textbook in grey levels before normalisation, over `CROPS` views per image or its one
        evaluation view: the largest, how many values differ by more than one level, and the shares."""
        ours, counts = self.examples(False, training, exact), np.zeros(256, dtype=np.int64)
        for epoch in range(CROPS if training else 1):
            book = Textbook(ours, training, epoch)
            for i in range(self.count):
                gap = (ours.item(i, epoch)[0].int() - F.pil_to_tensor(book.pixels(i)).int()).abs()
                counts += np.bincount(gap.numpy().ravel(), minlength=256)
        values, above = int(counts.sum()), int(counts[2:].sum())
        return {
            "largest": int(np.nonzero(counts)[0].max()), "above one": above, "values": values,
            "share above one": above / values, "share that differs": 1 - int(counts[0]) / values,
        }  # fmt: skip


def show(report: dict) -> Table:
    table = Table(
        title=f"{report['images']} images of {report['pixels'] / 1e3:.0f} thousand pixels, to {SIZE} x {SIZE}"
    )
    for column in ("threads", "workload", "variant", "images per second", "ratio", "target"):
        table.add_column(column, justify="left" if column in ("workload", "variant") else "right")
    for entry in report["threads"]:
        for work, ways in entry["works"].items():
            base = ways.get("textbook") or next(iter(ways.values()))
            for way, timing in ways.items():
                target, star = TARGETS.get(way), "*" if base["disturbed"] or timing["disturbed"] else ""
                clock = "cpu_seconds" if star else "seconds"
                table.add_row(
                    str(entry["count"]), work, way, f"{report['images'] / timing[clock]:.0f}",
                    "" if work == "floor" else f"{base[clock] / timing[clock]:.2f}x{star}",
                    f"{target:g}x" if target else "",
                )  # fmt: skip
    gap = report["difference"]["training"]
    above = f"{gap['above one']} of them by more than one"
    table.caption = (
        f"*: other processes were busy, so CPU times are compared. Of {gap['values'] / 1e6:.0f} million values "
        f"{gap['share that differs']:.2%} differ, at most by {gap['largest']} grey levels, {above}"
    )
    return table


def generate_images(folder: Path, count: int = 64) -> Path:
    """Images of smooth noise in the usual sizes of photographs."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        size = (500, 375) if i % 2 else (375, 500)
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / f"{i:02d}.jpg", quality=90)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of photographs; by default, images are generated")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=5, help="samples of each variant")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "loading.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "images").mkdir()
        (Path(temporary) / "cache").mkdir()
        os.environ[CACHE_VARIABLE] = folder = str(Path(temporary) / "cache")
        bench = Bench(options.images or generate_images(Path(temporary) / "images"), folder)
        entries = []
        for threads in options.threads:
            torch.set_num_threads(threads)
            works = {work: alternate(ways, options.steps) for work, ways in bench.variants().items()}
            entries.append(
                {"count": threads, "works": {w: {n: t.record() for n, t in ways.items()} for w, ways in works.items()}}
            )
        report = {
            "machine": machine() | {"pillow": PIL.__version__},
            "images": bench.count, "pixels": bench.pixels(), "threads": entries,
            "difference": {
                "training": bench.difference(True),
                "training, exact": bench.difference(True, True),
                "evaluation": bench.difference(False),
            },
        }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    Console(width=120).print(show(report))


if __name__ == "__main__":
    main()
