"""Four protocols on the bundled drawings, for the documentation; `benchmarks/results.py` has the fifth, base-to-novel.

    .venv/bin/python benchmarks/protocols.py                        all four, about 50 minutes of CPU time
    .venv/bin/python benchmarks/protocols.py --only few_shot

Each is a `cliptune run` and the `cliptune results table` of its records, which are copied with the table to
benchmarks/results/protocols. A rerun does only what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from keep import RESULTS, keep_all

from cliptune.cli import main as cliptune

RECORDS = RESULTS / "protocols"
#: DAPT's published weight of aligning foregrounds, in place of the preset's for the tiny backbone.
PUBLISHED = ("--foreground", "0.1")
#: Name -> what follows `cliptune run`, and what follows `cliptune results table FOLDER`.
SWEEPS = {
    "few_shot": (
        "few-shot --methods zeroshot coop kgcoop coop+dapt",
        "--metrics test --columns shots",
    ),
    "cross_dataset": (
        "cross-dataset --methods zeroshot coop kgcoop maple coop+dapt maple+dapt --shots 8 "
        "--targets emoji:classes=validation emoji:classes=validation,styles=noto",
        "",
    ),
    "domain_generalization": (
        "domain-generalization --methods zeroshot coop kgcoop maple coop+dapt maple+dapt --shots 8 "
        "--data emoji:styles=fluent-flat",
        "",
    ),
    "data_efficient": (
        "data-efficient --methods coop coop+dapt --fractions 0.1 --selectors uniform herding k_center "
        "contextual_diversity uncertainty cal deepfool forgetting grand craig gradmatch glister submodular",
        "--metrics test test/swapped test/gap --rows selector",
    ),
}


@dataclass(frozen=True)
class Options:
    """Protocols to run, and output."""

    only: tuple[str, ...] = tuple(SWEEPS)
    """Protocols to run."""
    out: Path = Path("runs/protocols")
    """Folder for checkpoints and records."""
    flags: str = ""
    """Further arguments of `cliptune run`, such as "--workers 2"."""


def main(options: Options) -> None:
    """Run what is missing; copy records and tables."""
    for name in options.only:
        sweep, table = SWEEPS[name]
        out, records = options.out / name, RECORDS / name
        cliptune(
            ["run", *sweep.split(), *PUBLISHED, "--seeds", "1", "2", "3", "--out", str(out), *options.flags.split()]
        )
        keep_all(out, records)
        text = ["--format", "markdown", "--out", str(RECORDS / f"{name}.md")]
        cliptune(["results", "table", str(records), *table.split(), *text])


if __name__ == "__main__":
    main(tyro.cli(Options))
