"""Reliance on backgrounds of the runs of `benchmarks/photos.py --rows scenes`, with the boxes as masks.

    .venv/bin/python benchmarks/photos_reliance.py --out runs/photos

The same 500 test images of the base classes for every run: background removed, blurred or swapped, and Grad-CAM of the
predicted class. A rerun does only what is missing. Records and the table are copied to
benchmarks/results/photos/reliance.
"""

from __future__ import annotations

import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from keep import record_copy
from photos import RECORDS

from cliptune.analysis.background_conditions import CONDITIONS
from cliptune.data.config import DataConfig
from cliptune.files import write_text
from cliptune.report.collect.reliance import RelianceOptions, measure_reliance, reliance_file
from cliptune.report.reliance_records import EXTRA_COLUMNS, RelianceRecord, load_reliance, tabulate_reliance
from cliptune.results import store
from cliptune.run_dir import CHECKPOINT

SETTINGS = RelianceOptions(test="base", masks="data")
COLUMNS = (*CONDITIONS, *EXTRA_COLUMNS)


@dataclass(frozen=True)
class Options:
    """Runs, data and a part of the runs."""

    out: Path = Path("runs/photos")
    """Folder of the checkpoints and records of photos.py."""
    root: Path = Path("photos")
    """Folder of the photographs, as for photos.py."""
    part: str = ""
    """I/N: measure only the I-th of every N runs, without the table."""


def main(options: Options) -> None:
    """Measure what is missing, copy the records and print the table."""
    scenes, target = options.out / "scenes", RECORDS / "reliance"
    folders = sorted(file.parent for file in scenes.rglob(CHECKPOINT))
    first, step = map(int, (options.part or "1/1").split("/"))
    for folder in folders[first - 1 :: step]:
        if not reliance_file(folder, SETTINGS).is_file():
            measure_reliance(folder, SETTINGS, DataConfig(root=str(options.root.resolve())))
    if options.part:
        return
    target.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[int, RelianceRecord]] = defaultdict(dict)
    for folder in folders:
        file, run = reliance_file(folder, SETTINGS), store.load_result(folder / store.RESULT_FILE)
        text = file.read_text(encoding="utf-8").replace(
            f"{options.out.resolve()}/", ""
        )  # the table of the data is there
        write_text(record_copy(folder, scenes, target), text)
        found[run.method][run.config["seed"]] = load_reliance(file)
    text = to_markdown(found)
    sys.stdout.write(text)
    write_text(target / "reliance.md", text)


def to_markdown(found: Mapping[str, Mapping[int, RelianceRecord]]) -> str:
    """Means over seeds, and the difference of `drop` from MaPLe's, paired by seed, with its standard error."""
    (table,) = tabulate_reliance({label: list(runs.values()) for label, runs in found.items()})
    lines = [
        f"| method | seeds | {' | '.join(COLUMNS)} | drop minus maple's |",
        f"| --- | --: |{' --: |' * (len(COLUMNS) + 1)}",
    ]
    for label, seeds, values in table.rows:
        cells = ["–" if (value := values[name]) is None else f"{value:.1f}" for name in COLUMNS]
        lines.append(f"| {label} | {seeds} | {' | '.join(cells)} | {_paired(found[label], found['maple'])} |")
    return "\n".join(lines) + "\n"


def _paired(runs: Mapping[int, RelianceRecord], others: Mapping[int, RelianceRecord]) -> str:
    seeds: Sequence[int] = sorted(runs.keys() & others.keys())
    drops = [[one[seed].reliance.drop("swapped")[0] for seed in seeds] for one in (runs, others)]
    differences = [first - second for first, second in zip(*drops, strict=True)]
    if len(differences) < 2 or runs is others:
        return "–"
    error = statistics.stdev(differences) / len(differences) ** 0.5
    return f"{statistics.mean(differences):+.1f} ± {error:.1f}"


if __name__ == "__main__":
    main(tyro.cli(Options))
