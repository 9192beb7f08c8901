"""The photographs that `prepare.py` decoded: batches of random crops with captions, and evaluation sets."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "embedded"))
from towers import Words, encode_image, encode_text  # noqa: E402

TEMPLATES = (
    "a photo of a {}.", "a photo of a {}", "a photo of the {}.", "a photo of {}.", "{}", "a {}", "the {}",
    "an image of a {}", "a picture of a {}", "a photo of one {}", "a photo of my {}.", "itap of a {}.",
    "a good photo of a {}.", "a bad photo of a {}.", "a blurry photo of a {}.", "a low resolution photo of a {}.",
    "a cropped photo of a {}.", "a close-up photo of a {}.", "a bright photo of a {}.", "a dark photo of a {}.",
    "a photo of a small {}.", "a photo of a large {}.", "a photo of many {}.", "there is a {} in the scene.",
)  # fmt: skip


class Table:
    """Rows of `images.csv` by split, with the arrays that hold the images."""

    def __init__(self, work: Path) -> None:
        with (work / "images.csv").open(newline="") as f:
            rows = [row for row in csv.DictReader(f) if not row["dropped"]]
        self.splits: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            self.splits[row["split"]][row["source"]].append(row)
        self.arrays = {name: np.load(work / f"{name}.npy", mmap_mode="r") for name in {r["array"] for r in rows}}
        with (work / "classes.csv").open(newline="") as f:
            self.names = {(r["source"], r["label"]): [r["name"], *split_names(r)] for r in csv.DictReader(f)}

    def pixels(self, rows: list[dict]) -> list[np.ndarray]:
        """The stored squares `(size, size, 3)`."""
        return [self.arrays[row["array"]][int(row["row"])] for row in rows]


def split_names(row: dict) -> list[str]:
    """The other names of a class."""
    return [name.strip() for name in row["synonyms"].split(",") if name.strip() and name.strip() != row["name"]]


def warp(squares: list[np.ndarray], boxes: np.ndarray, size: int) -> Tensor:
    """The parts `boxes` (x, y, width, height in shares; negative width mirrors), resized: `(b, 3, size, size)`."""
    out = torch.empty(len(squares), 3, size, size)
    sides = np.array([s.shape[0] for s in squares])
    for side in np.unique(sides):
        at = np.flatnonzero(sides == side)
        stack = torch.from_numpy(np.stack([squares[i] for i in at])).permute(0, 3, 1, 2).float()
        x, y, w, h = torch.from_numpy(boxes[at].astype(np.float32)).T
        zero = torch.zeros_like(x)
        maps = torch.stack(
            [torch.stack([w, zero, 2 * x + w.abs() - 1], 1), torch.stack([zero, h, 2 * y + h - 1], 1)], 1
        )
        grid = F.affine_grid(maps, [len(at), 3, size, size], align_corners=False)
        out[torch.from_numpy(at)] = F.grid_sample(stack, grid, padding_mode="border", align_corners=False)
    return out


def jitter(images: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """Random brightness, contrast and saturation of each image."""
    draw = torch.from_numpy(1 + strength * rng.uniform(-1, 1, (3, len(images), 1, 1, 1)).astype(np.float32))
    grey = images.mean(1, keepdim=True)
    images = grey + draw[2] * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    return (mean * draw[0] + draw[1] * (images - mean)).clamp(0, 255)


class Photographs:
    """Training batches and the figures of the log."""

    def __init__(self, work: Path, recipe: dict, size: int, per_set: int = 200) -> None:
        self.table, self.recipe, self.size = Table(work), recipe, size
        self.sources = dict(self.table.splits["train"])
        drawn = recipe["steps"] * recipe["batch"]
        self.shares = shares(self.sources, drawn, recipe["passes"], recipe["weights"])
        self.texts = [t.format("x") for t in TEMPLATES]
        self.texts += [t.format(n) for names in self.table.names.values() for n in names for t in ("{}", "a {}.")]
        self.per_set = per_set

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, list[str], list[str]]:
        """Random crops in 0..255, their captions and the names of their classes."""
        names = list(self.sources)
        of = rng.choice(len(names), self.recipe["batch"], p=[self.shares[name] for name in names])
        rows = [self.sources[names[k]][int(rng.integers(len(self.sources[names[k]])))] for k in of]
        images = warp(self.table.pixels(rows), self.boxes(rng, len(rows)), self.size)
        return (
            jitter(images, rng, self.recipe["colour"]),
            [self.caption(rng, r) for r in rows],
            [r["name"] for r in rows],
        )

    def boxes(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Random crops: area, aspect ratio, place, mirrored half of the time."""
        area, ratio = rng.uniform(*self.recipe["area"], n), self.recipe["aspect"] ** rng.uniform(-1, 1, n)
        w, h = np.minimum(1, np.sqrt(area * ratio)), np.minimum(1, np.sqrt(area / ratio))
        x, y = rng.random(n) * (1 - w), rng.random(n) * (1 - h)
        return np.stack([x, y, np.where(rng.random(n) < 0.5, -w, w), h], 1)

    def caption(self, rng: np.random.Generator, row: dict) -> str:
        """A template with a name of the class."""
        names = self.table.names[row["source"], row["label"]]
        other = len(names) > 1 and rng.random() < self.recipe["synonym"]
        name = names[int(rng.integers(1, len(names)))] if other else names[0]
        plain = rng.random() < self.recipe["plain"]
        return TEMPLATES[0 if plain else int(rng.integers(len(TEMPLATES)))].format(name)

    def check(self, model: CLIP, words: Words) -> dict[str, float]:
        """Zero-shot top-1 on a part of every evaluation set."""
        return {name: round(100 * value, 1) for name, value, _, _ in zero_shot(self.table, model, words, self.per_set)}


def shares(
    sources: dict[str, list[dict]], images: int, passes: float, factors: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Share of a batch per source: in proportion to the root of classes times images, times the source's factor, but at
    most `passes` passes over a source in a run of `images` images."""
    weights = {name: (len({r["label"] for r in rows}) * len(rows)) ** 0.5 for name, rows in sources.items()}
    weights = {name: weight * (factors or {}).get(name, 1) for name, weight in weights.items()}
    found: dict[str, float] = {}
    while weights:
        left = 1 - sum(found.values())
        limit = {name: passes * len(sources[name]) / images for name in weights}
        scaled = {name: left * weight / sum(weights.values()) for name, weight in weights.items()}
        over = [name for name in weights if scaled[name] > limit[name]]
        if not over or len(over) == len(weights):
            return found | scaled
        found |= {name: limit[name] for name in over}
        weights = {name: weight for name, weight in weights.items() if name not in over}
    return found


@torch.no_grad()
def zero_shot(
    table: Table, model: CLIP, words: Callable[[list[str]], Tensor], per_set: int = 0
) -> Iterator[tuple[str, float, int, int]]:
    """Name, accuracy, images and classes of every evaluation set; `per_set`: evenly spaced images of it, 0 for all."""
    size = model.visual.image_size
    for split in ("eval", "newcomer"):
        for name, rows in table.splits[split].items():
            classes = sorted({row["name"] for row in rows})
            text = encode_text(model, words([TEMPLATES[0].format(c) for c in classes]))
            part = rows[:: max(1, len(rows) // per_set)] if per_set else rows
            right = 0
            for i in range(0, len(part), 250):
                some = part[i : i + 250]
                whole = np.tile([0.0, 0.0, 1.0, 1.0], (len(some), 1))
                image = encode_image(
                    model, warp(table.pixels(some), whole, size[0] if isinstance(size, tuple) else size)
                )
                guess = (image @ text.T).argmax(1).tolist()
                right += sum(classes[g] == row["name"] for g, row in zip(guess, some, strict=True))
            yield name, right / len(part), len(part), len(classes)
