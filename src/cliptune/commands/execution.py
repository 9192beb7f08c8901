"""Flags of commands that execute many runs: where, how many at a time, or only what there would be to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from cliptune import checks, runners, sweep
from cliptune.engine.config import MAX_WORKERS
from cliptune.errors import UserError
from cliptune.runners.job import Job
from cliptune.runners.runner import Runner
from cliptune.types import Result


@dataclass(frozen=True)
class Execution:
    """Where runs are executed."""

    runner: Literal["local", "ray"] = "local"
    """local: on this machine. ray: on a Ray cluster (pip install "cliptune[ray]")."""
    workers: int = 0
    """Runs at a time, each in a process of its own. 0: one after the other in this process; with ray, as many as the
    cluster takes."""
    address: str = ""
    """Of the Ray cluster: auto or HOST:PORT joins one, local (the default) starts one of this machine."""
    cpus_per_task: float = 0
    """Cores a run takes of the Ray cluster; 0 is one."""
    gpus_per_task: float = 0
    """GPUs a run takes of the Ray cluster; 0.5 lets two runs share one."""
    dry_run: bool = False
    """Say which runs there are and which of them are done, and do nothing."""

    def __post_init__(self):
        checks.at_least(self, 0, "cpus_per_task", "gpus_per_task")
        checks.between(self, 0, MAX_WORKERS, "workers")
        if self.runner == "local":
            for name in ("address", "cpus_per_task", "gpus_per_task"):
                if getattr(self, name):
                    raise UserError(f"--{name.replace('_', '-')} is for --runner ray; local shares the machine itself")

    def build(self) -> Runner:
        """The runner these flags ask for."""
        given: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("workers", "address", "cpus_per_task", "gpus_per_task")
            if getattr(self, name)
        }
        return runners.get(self.runner)(**given)


def run_or_list(entries: Sequence[Job], options: Execution, out: Path) -> list[Result]:
    """Results of all entries, which lie under `out`; exits with 0 after listing them where nothing is to be done."""
    if options.dry_run:
        sys.stdout.write(format_jobs(entries) + "\n")
        sys.exit(0)
    if int(os.environ.get("LOCAL_RANK", 0)):  # the first process of runs on several devices speaks for all
        sweep.run_jobs(entries, Console(quiet=True), runner=options.build(), out=out)
        sys.exit(0)
    return sweep.run_jobs(entries, runner=options.build(), out=out)


def format_jobs(entries: Sequence[Job]) -> str:
    """A line a run: its state, label, data, shots, seed and folder; then how many there are of each state."""
    states = [sweep.job_state(entry) for entry in entries]
    rows = [(state, *entry.columns, str(entry.folder)) for state, entry in zip(states, entries, strict=True)]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    kinds = [state.split(" ")[0] for state in states]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return "\n".join([*lines, f"{len(entries)} run{'' if len(entries) == 1 else 's'}: {counts}"])
