"""Pretrains the embedded CLIP on composites: `python pretrain.py --work BUILD --out RUN`; resumes from RUN/last.pt.

Set OMP_WAIT_POLICY=PASSIVE on a shared machine. BUILD contains the sprites that `artwork.py` made.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from captions import every_text
from composites import SHIPPED, Artwork, Pool
from open_clip.model import CLIP
from torch import Tensor
from towers import CONFIG, Words, encode_image, encode_text

from cliptune.data.emoji.background import BACKGROUND_NAMES, keyed_generator
from training import run

HERE = Path(__file__).resolve().parent


class Validation:
    """The validation classes on canvases and poses that training never draws: top-1 by style, and backgrounds named."""

    def __init__(self, art: Artwork, count: int = 6) -> None:
        shipped = json.loads(SHIPPED.read_text())["validation"]
        index = {r["hexcode"]: i for i, r in enumerate(art.rows)}
        self.names, labels = [r["name"] for r in shipped], [index[r["hexcode"]] for r in shipped]
        self.images, self.truth, self.grounds = {}, torch.arange(len(labels)).repeat(count), None
        for style in ("fluent-3d", "fluent-flat", "noto"):
            rng = keyed_generator("pretraining", "validation", 0)
            grounds = [BACKGROUND_NAMES[int(k)] for k in rng.integers(len(BACKGROUND_NAMES), size=len(labels) * count)]
            which = [(c, style) for _ in range(count) for c in labels]
            self.images[style] = art.compose(rng, which, grounds, 2_000_000)
            self.grounds = torch.tensor([BACKGROUND_NAMES.index(g) for g in grounds])

    @torch.no_grad()
    def __call__(self, model: CLIP, words: Words) -> dict[str, float]:
        classes = encode_text(model, words([f"a photo of a {n}." for n in self.names]))
        places = encode_text(model, words([f"a photo of a {n}." for n in BACKGROUND_NAMES]))
        out = {}
        for style, images in self.images.items():
            features = encode_image(model, images)
            out[style] = 100 * ((features @ classes.T).argmax(1) == self.truth).float().mean().item()
            out[f"{style} background"] = 100 * ((features @ places.T).argmax(1) == self.grounds).float().mean().item()
        return {k: round(v, 1) for k, v in out.items()}


class Drawings:
    """Composites of the drawings with their captions."""

    def __init__(self, art: Artwork, seed: int) -> None:
        self.texts = every_text(art.rows)
        self.pool, self.check = Pool(art, keyed_generator("pretraining", seed, 0)), Validation(art)

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, list[str], list[str]]:
        """A batch of the pool; identical captions are positives."""
        images, texts = self.pool.batch(rng)
        return images, texts, texts


if __name__ == "__main__":
    run(lambda work, recipe: Drawings(Artwork(work, recipe), recipe["seed"]), CONFIG, HERE / "recipe.yaml", __doc__)
