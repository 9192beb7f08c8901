"""Accuracy of DAPT if Grad-CAM foregrounds are renewed in every epoch, or more seldom: Caltech-101, base to novel.

    .venv/bin/python benchmarks/mask_refresh.py --root ROOT                  seeds 1 to 3, paired

ROOT is that of photos.py. A rerun does only what is missing; records and the table are copied to
benchmarks/results/mask_refresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import tyro
from keep import RESULTS
from photos import with_masks
from tables import TableOptions, make_table
from torch import Tensor

from cliptune import presets
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.masks.saliency_masks import GradCamMasks
from cliptune.model.tuned_model import TunedModel

#: Epochs between renewals. `maple+dapt` trains for four epochs, so that five renew nothing after the first.
EVERY = (1, 5)


@dataclass(frozen=True)
class Options(TableOptions):
    """Data and output."""

    root: Path = Path("photos")
    """Folder of the photographs."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of each row."""
    methods: tuple[str, ...] = ("coop+dapt", "maple+dapt")
    """Methods to train."""
    out: Path = Path("runs/mask_refresh")
    """Folder for checkpoints and records."""


@contextmanager
def renewed_every(epochs: int) -> Iterator[None]:
    """Compute the foregrounds of each training in every so many epochs, and keep them in between."""
    renew = GradCamMasks.refreshed
    passed: dict[GradCamMasks, list[GradCamMasks]] = {}  # by the source of a training, one of each of its epochs

    def refreshed(
        self: GradCamMasks, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]
    ) -> GradCamMasks:
        before = passed.setdefault(self, [])
        before.append(before[-1] if len(before) % epochs else renew(self, model, batches))
        return before[-1]

    with patch.object(GradCamMasks, "refreshed", refreshed):
        yield


def rows(options: Options, epochs: int) -> list[tuple[str, RunConfig]]:
    """The methods with foregrounds that are renewed in every so many epochs."""
    base = {"backbone": "photo", "data": "caltech101", "protocol": "base_to_novel"}
    base |= {"reading": DataConfig(root=str(options.root.resolve()))}
    label = "" if epochs == 1 else f", every {epochs} epochs"
    return [(name + label, with_masks(presets.get(name, **base), "gradcam")) for name in options.methods]


def main(options: Options) -> None:
    """Run what is missing, print the table and copy the records."""
    columns = ("base", "novel", "hm")
    for epochs in EVERY:
        with renewed_every(epochs):
            make_table(rows(options, epochs), options, options.out, None, "", columns)
    every = [row for epochs in EVERY for row in rows(options, epochs)]
    make_table(every, options, options.out, RESULTS / "mask_refresh", "table", columns)


if __name__ == "__main__":
    main(tyro.cli(Options))
