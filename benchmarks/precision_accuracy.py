"""Accuracy in float32 and in lower precision, base-to-novel on the bundled sprites, paired by seed.

    .venv/bin/python benchmarks/precision_accuracy.py                all methods with 4 images per class, seeds 1 to 3

Records are written to --out; a rerun does only what is missing. Records and the table are copied to
benchmarks/results/precision/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from keep import RESULTS
from tables import TableOptions, make_table

from cliptune import config, presets
from cliptune.config import Precision, RunConfig
from cliptune.engine.feature_store import share_features

COLUMNS = ("base", "novel", "hm")


@dataclass(frozen=True)
class Options(TableOptions):
    """Methods, precision and output."""

    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of each row."""
    methods: tuple[str, ...] = ("coop", "maple", "maple+dapt")
    """Methods to train in both precisions."""
    precision: Precision = "bf16"
    """The lower precision."""
    shots: int = 4
    """Training images per class."""
    augment: str = ""
    """Training views, such as none; by default those of the presets."""
    out: Path = Path("runs/precision")
    """Folder for checkpoints and records."""


def rows(options: Options) -> list[tuple[str, RunConfig]]:
    """Each method in both precisions."""
    found = []
    for name in options.methods:
        run = presets.get(name, data="emoji", protocol="base_to_novel", shots=options.shots)
        run = config.with_options(run, {"augment": options.augment}) if options.augment else run
        low = config.with_options(run, {"precision": options.precision})
        found += [(name, run), (f"{name}, {options.precision}", low)]
    return found


def main(options: Options) -> None:
    """Run what is missing, print the table and copy the records."""
    with share_features((options.out / "features").absolute()):
        make_table(rows(options), options, options.out, RESULTS / "precision", "table", COLUMNS)


if __name__ == "__main__":
    main(tyro.cli(Options))
