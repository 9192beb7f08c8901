"""Measures the shipped weights on the built-in dataset, zero-shot: `python measure.py`; prints Markdown tables.

Validation classes and the benchmark's test set are reported apart; settings are chosen on the former only.
"""

from __future__ import annotations

import argparse

import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from cliptune.backbones.bundled import BUNDLED
from cliptune.data.emoji.atlas import STYLES
from cliptune.data.emoji.background import BACKGROUND_NAMES, paint_background
from cliptune.data.emoji.dataset import Emoji
from cliptune.types import Example

TEMPLATE = "a photo of a {}."


class Towers:
    """The stock open_clip model under the shipped weights."""

    def __init__(self) -> None:
        tiny = BUNDLED["tiny"]
        self.model = open_clip.model.CLIP(**tiny.config()).eval()
        self.model.load_state_dict(tiny.state_dict())
        self.tokenizer = open_clip.SimpleTokenizer()
        self.mean, self.std = (torch.tensor(t).view(1, 3, 1, 1) for t in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD))

    @torch.no_grad()
    def images(self, pixels: Tensor) -> Tensor:
        """Unit features of uint8 `(n, 3, 64, 64)`."""
        parts = [self.model.encode_image((p / 255 - self.mean) / self.std) for p in pixels.split(256)]
        return F.normalize(torch.cat(parts), dim=-1)

    @torch.no_grad()
    def names(self, names: tuple[str, ...]) -> Tensor:
        """Unit features of "a photo of a {}." with each name."""
        return F.normalize(self.model.encode_text(self.tokenizer([TEMPLATE.format(n) for n in names])), dim=-1)


def measure(towers: Towers, data: Emoji) -> tuple[list[tuple[str, str]], list[tuple]]:
    """(what, percentage) rows over all classes, and (half, random, same, swap, none) rows."""
    text, places = towers.names(data.classnames), towers.names(BACKGROUND_NAMES)

    def features(examples: list[Example]) -> Tensor:
        return towers.images(torch.stack([data.read(e).image for e in examples]))

    def accuracy(found: Tensor, examples: list[Example], labels: range) -> float:
        rows = [i for i, e in enumerate(examples) if e.label in labels]
        truth = torch.tensor([examples[i].label for i in rows])
        guess = (found[rows] @ text[labels.start : labels.stop].T).argmax(1) + labels.start
        return 100 * (guess == truth).float().mean().item()

    n = len(data.classnames)
    everything, rows = range(n), []
    for style in STYLES:
        examples = data.domain(style)
        found = features(examples)
        ground = torch.tensor([BACKGROUND_NAMES.index(e.background) for e in examples])
        named = 100 * ((found @ places.T).argmax(1) == ground).float().mean().item()
        rows.append((f"{style}, {n}-way", f"{accuracy(found, examples, everything):.1f}"))
        rows.append((f"{style}, background named, 24-way", f"{named:.1f}"))
    sets = {"random": data.examples("test"), **data.variants()}
    found = {mode: features(examples) for mode, examples in sets.items()}
    halves = []
    for half, labels in (("base", range(n // 2)), ("novel", range(n // 2, n))):
        halves.append(
            (half, *(f"{accuracy(found[m], sets[m], labels):.1f}" for m in ("random", "same", "swap", "none")))
        )
    return rows, halves


def backgrounds_named(towers: Towers) -> float:
    """Accuracy (%) of naming an empty background among the 24, on canvases that pretraining did not use."""
    pixels = torch.stack([paint_background(n, 3000 + k)[:, 16:80, 16:80] for n in BACKGROUND_NAMES for k in range(16)])
    truth = torch.arange(len(BACKGROUND_NAMES)).repeat_interleave(16)
    return 100 * ((towers.images(pixels) @ towers.names(BACKGROUND_NAMES).T).argmax(1) == truth).float().mean().item()


def main() -> None:
    """Print every figure of the README."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    towers = Towers()
    for classes in ("validation", "benchmark"):
        rows, halves = measure(towers, Emoji(classes=classes))
        print(f"\n{classes} classes\n\n| zero-shot, random backgrounds | % |\n|---|---|")
        for what, value in rows:
            print(f"| {what} | {value} |")
        print("\n| zero-shot, fluent styles | random | same | swapped | plain |\n|---|---|---|---|---|")
        for row in halves:
            print(f"| {' | '.join(row)} |")
    print(f"\nEmpty backgrounds named (24-way): {backgrounds_named(towers):.1f} %")


if __name__ == "__main__":
    main()
