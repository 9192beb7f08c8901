"""The images of pretraining: every class in every style, composited on backgrounds in batches."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from captions import SUITS, background_caption, caption
from torch import Tensor

from cliptune.data.emoji.background import BACKGROUND_NAMES, paint_background
from cliptune.data.emoji.compositing import affine_matrices, alpha_over, halve, premultiply_alpha, warp_sprites

SHIPPED = Path(__file__).resolve().parents[2] / "src" / "cliptune" / "data" / "emoji" / "classes.json"
SIZE, CANVAS = 64, 96


class Artwork:
    """The classes, their sprites by style, and batched composites of them."""

    def __init__(self, work: Path, recipe: dict) -> None:
        self.rows, self.recipe = json.loads((work / "classes.json").read_text()), recipe
        shipped = json.loads(SHIPPED.read_text())
        plain = {r["hexcode"]: r["name"] for part in shipped.values() for r in part}
        for row in self.rows:
            # The plain name comes first, and twice as often as the catalogue's.
            row["names"] = [plain.get(row["hexcode"], row["label"])] * 2 + [row["label"]]
        with np.load(work / "sprites.npz") as arrays:
            self.sprites = {s: premultiply_alpha(arrays[s]) for s in arrays.files if not s.endswith(".index")}
            self.at = {s: {int(c): i for i, c in enumerate(arrays[f"{s}.index"])} for s in self.sprites}
        self.small = {s: halve(p) for s, p in self.sprites.items()}
        self.styles = [[s for s in recipe["styles"] if c in self.at[s]] for c in range(len(self.rows))]

    def poses(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random poses `(count, 5)`, sprites inside the image except for at most a tenth of their side."""
        low, high = self.recipe["scale"]
        scale = rng.uniform(low, high, count)
        turn = np.deg2rad(self.recipe["turn"])
        room = np.maximum(1.1 - scale, 0)
        return np.stack(
            [
                scale,
                rng.uniform(-turn, turn, count),
                np.sign(rng.random(count) - 0.5),
                *(rng.uniform(-1, 1, (2, count)) * room),
            ],
            1,
        )

    def backgrounds(self, rng: np.random.Generator, names: list[str | None], seed: int) -> Tensor:
        """Random windows of random canvases, or flat colours for None: uint8 `(b, 3, 64, 64)`."""
        out = torch.empty(len(names), 3, SIZE, SIZE, dtype=torch.uint8)
        for i, name in enumerate(names):
            if name is None:
                out[i] = torch.from_numpy(rng.integers(30, 230, (3, 1, 1), dtype=np.uint8))
                continue
            canvas = paint_background(name, seed + int(rng.integers(self.recipe["variants"])), CANVAS)
            y, x = rng.integers(CANVAS - SIZE + 1, size=2)
            window = canvas[:, y : y + SIZE, x : x + SIZE]
            out[i] = window.flip(2) if rng.random() < 0.5 else window
        return out

    def compose(
        self, rng: np.random.Generator, which: list[tuple[int, str]], names: list[str | None], seed: int
    ) -> Tensor:
        """Composites of (class, style) pairs on backgrounds: uint8 `(b, 3, 64, 64)`."""
        poses = self.poses(rng, len(which))
        drawn = torch.empty(len(which), 4, SIZE, SIZE)
        maps = affine_matrices(poses)
        for near in (True, False):
            some = [i for i in range(len(which)) if (poses[i, 0] * SIZE >= 36) == near]
            if some:
                source = self.sprites if near else self.small
                stack = torch.stack([source[s][self.at[s][c]] for c, s in (which[i] for i in some)])
                drawn[some] = warp_sprites(stack, maps[some], SIZE)
        jitter = torch.from_numpy(1 + self.recipe["tint"] * rng.uniform(-1, 1, (2, len(which), 3)).astype(np.float32))
        return alpha_over(drawn, jitter[0], self.backgrounds(rng, names, seed), jitter[1])[0]

    def suits(self, rng: np.random.Generator, label: int) -> str | None:
        """A background for a class: flat, one that suits its group, or any."""
        r = rng.random()
        if r < self.recipe["plain"]:
            return None
        own = SUITS[self.rows[label]["group"]]
        pick = own if r < self.recipe["plain"] + self.recipe["own_background"] else BACKGROUND_NAMES
        return pick[int(rng.integers(len(pick)))]

    def fresh(self, rng: np.random.Generator, labels: np.ndarray) -> tuple[Tensor, list[str | None]]:
        """New training composites of the classes `labels` and the names of their backgrounds."""
        which = [(int(c), self.styles[c][int(rng.integers(len(self.styles[c])))]) for c in labels]
        names = [self.suits(rng, int(c)) for c in labels]
        return self.compose(rng, which, names, 1_000_000), names


class Pool:
    """Stored composites of every class, a few of which are rendered again for each batch."""

    def __init__(self, art: Artwork, rng: np.random.Generator) -> None:
        self.art, self.count, self.per = art, len(art.rows), art.recipe["pool"]
        self.images = torch.empty(self.count, self.per, 3, SIZE, SIZE, dtype=torch.uint8)
        self.grounds: list[list[str | None]] = [[None] * self.per for _ in range(self.count)]
        for k in range(self.per):
            self.images[:, k], names = art.fresh(rng, np.arange(self.count))
            for c in range(self.count):
                self.grounds[c][k] = names[c]

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
        """Images uint8 `(b, 3, 64, 64)` of distinct classes with their captions; the last few are backgrounds alone."""
        art, recipe = self.art, self.art.recipe
        size = recipe["batch"]
        labels, slots = rng.choice(self.count, size, replace=False), rng.integers(self.per, size=size)
        redrawn = int(size * recipe["refresh"])
        new, names = art.fresh(rng, labels[:redrawn])
        for i in range(redrawn):
            self.images[labels[i], slots[i]], self.grounds[labels[i]][slots[i]] = new[i], names[i]
        images = self.images[torch.from_numpy(labels), torch.from_numpy(slots)]
        texts = [caption(rng, art.rows[c], self.grounds[c][k], recipe) for c, k in zip(labels, slots, strict=True)]
        bare = int(size * recipe["backgrounds_only"])
        places = [BACKGROUND_NAMES[int(k)] for k in rng.integers(len(BACKGROUND_NAMES), size=bare)]
        images[size - bare :] = art.backgrounds(rng, list(places), 1_000_000)
        texts[size - bare :] = [background_caption(rng, p) for p in places]
        return images, texts
