"""Flags of commands that execute many runs: the runner, the number of parallel runs, and a dry run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from rich.console import Console

from cliptune import checks, sweep
from cliptune.commands.flags import FLAT
from cliptune.engine.config import MAX_WORKERS
from cliptune.runners.job import Job
from cliptune.runners.placement import Placement
from cliptune.runners.runner import Runner
from cliptune.types import Result


@dataclass(frozen=True)
class Execution:
    """Options for executing runs."""

    placement: Annotated[Placement, FLAT] = field(default_factory=Placement)
    workers: int = 0
    """Number of parallel runs, each in its own process. 0: one after the other in this process; with ray, as many as
    the cluster has room for."""
    dry_run: bool = False
    """List the runs and their states without executing any."""

    def __post_init__(self):
        checks.between(self, 0, MAX_WORKERS, "workers")

    def build(self) -> Runner:
        """The runner for these flags."""
        return self.placement.build(self.workers)


def run_or_list(jobs: Sequence[Job], options: Execution, out: Path) -> list[Result]:
    """Run the jobs and return their results; with --dry-run, list the jobs and exit with 0.

    out: The folder that contains the folders of all jobs.
    """
    if options.dry_run:
        sys.stdout.write(format_jobs(jobs) + "\n")
        sys.exit(0)
    if int(os.environ.get("LOCAL_RANK", 0)):  # on several devices, only the first process prints
        sweep.run_jobs(jobs, Console(quiet=True), runner=options.build(), out=out)
        sys.exit(0)
    return sweep.run_jobs(jobs, runner=options.build(), out=out)


def format_jobs(jobs: Sequence[Job]) -> str:
    """One line per run: state, label, data, shots, seed and folder; then the number of runs in each state."""
    states = [sweep.job_state(job) for job in jobs]
    rows = [(state, *job.columns, str(job.folder)) for state, job in zip(states, jobs, strict=True)]
    widths = [max(map(len, column), default=0) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    kinds = [state.split(" ")[0] for state in states]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return "\n".join([*lines, f"{len(jobs)} run{'' if len(jobs) == 1 else 's'}: {counts}"])
