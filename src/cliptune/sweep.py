"""Several runs: what is missing is done, what is done is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cliptune import claims, config, experiment
from cliptune.engine.watchers import ProgressBar, bar
from cliptune.results import store
from cliptune.types import Result, Task


@dataclass(frozen=True)
class Entry:
    """One run of a sweep: its row in the table (`label`), its configuration, its folder."""

    label: str
    run: config.Run
    folder: Path


def plan(labelled: Sequence[tuple[str, config.Run]], seeds: Sequence[int], out: Path) -> list[Entry]:
    """Every run with every seed, seed by seed, so that a sweep cut short has whole tables of fewer seeds."""
    return [
        Entry(
            label, dataclasses.replace(run, seed=seed), out / label.replace("/", "_").replace(" ", "_") / f"seed{seed}"
        )
        for seed in seeds
        for label, run in labelled
    ]


def run(entries: Sequence[Entry], console: Console | None = None) -> list[Result]:
    """Results of all entries in order, each trained unless its folder holds it already."""
    console = console or Console(stderr=True)
    datasets = {}
    for entry in entries:
        place = entry.run.data, entry.run.reading
        datasets[place] = datasets.get(place) or experiment.dataset_of(entry.run)
    for entry in {entry.label: entry for entry in entries}.values():  # a mistake in the last is told before the first
        experiment.model_of(entry.run, experiment.task_of(entry.run, datasets[entry.run.data, entry.run.reading]))
    results: list[Result] = []
    tasks: dict[tuple, Task] = {}
    with bar(console) as progress:
        total = progress.add_task("runs", total=len(entries))
        for entry in entries:
            if claims.done(entry.folder, entry.run):
                results.append(store.load(entry.folder / "result.json"))
            else:
                seed = entry.run.seed
                place = entry.run.data, entry.run.reading
                key = (*place, entry.run.protocol, entry.run.shots, seed)
                if key not in tasks:
                    tasks = {key: experiment.task_of(entry.run, datasets[place])}
                watcher = ProgressBar(progress, f"{entry.label}, seed {seed}")
                _, result = experiment.execute(
                    entry.run, entry.folder, watchers=[watcher], task=tasks[key], label=entry.label
                )
                results.append(result)
            progress.advance(total)
    return results
