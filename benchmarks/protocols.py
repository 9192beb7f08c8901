"""Four protocols on the bundled drawings, for the manual; `benchmarks/results.py` has the fifth, base-to-novel.

    .venv/bin/python benchmarks/protocols.py                        all four, some 50 minutes of processor time
    .venv/bin/python benchmarks/protocols.py --only few_shot

Each is a `cliptune run` and the `cliptune results table` of its records, which are kept with the table in
benchmarks/results/protocols. A rerun does only what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from keep import RESULTS, keep_all

from cliptune.cli import main as cliptune

KEPT = RESULTS / "protocols"
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
    """Which, and where to."""

    only: tuple[str, ...] = tuple(SWEEPS)
    """Of the sweeps, these."""
    out: Path = Path("runs/protocols")
    """Checkpoints and records."""
    flags: str = ""
    """More for `cliptune run`, such as "--workers 2"."""


def main(options: Options) -> None:
    """Run what is missing; keep records and tables."""
    for name in options.only:
        sweep, table = SWEEPS[name]
        out, kept = options.out / name, KEPT / name
        cliptune(["run", *sweep.split(), "--seeds", "1", "2", "3", "--out", str(out), *options.flags.split()])
        keep_all(out, kept)
        text = ["--format", "markdown", "--out", str(KEPT / f"{name}.md")]
        cliptune(["results", "table", str(kept), *table.split(), *text])


if __name__ == "__main__":
    main(tyro.cli(Options))
