"""Sweeps: execute the runs whose results are missing, and load the results of all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from cliptune import run_dir
from cliptune.config import RunConfig
from cliptune.dir_lock import LOCK_FILE, lock_dir, lock_owner
from cliptune.errors import Unfinished, UserError
from cliptune.results.store import RESULT_FILE, load_result
from cliptune.runners.job import Job
from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import JobFailure, Scheduler
from cliptune.types import Result

__all__ = ["Job", "job_state", "plan_jobs", "run_jobs"]

#: Subdirectory of a sweep for the features that its processes share.
SHARED_FOLDER = ".shared"


def plan_jobs(
    labelled: Sequence[tuple[str, RunConfig]],
    seeds: Sequence[int],
    out: Path,
    *,
    below: Callable[[RunConfig], str] = lambda run: "",
) -> list[Job]:
    """Jobs for every (label, configuration) with every seed, in directories LABEL/BELOW/seedSEED of `out`.

    Seeds come in the outer loop, so that an interrupted sweep has complete tables of fewer seeds. below: subdirectory
    that tells the runs of one label apart.
    """
    return [
        Job(
            label,
            dataclasses.replace(run, seed=seed),
            out / label.replace("/", "_").replace(" ", "_") / below(run) / f"seed{seed}",
        )
        for seed in seeds
        for label, run in labelled
    ]


def run_jobs(
    jobs: Sequence[Job],
    console: Console | None = None,
    *,
    runner: Runner | None = None,
    out: Path | None = None,
) -> list[Result]:
    """Execute the jobs whose directories have no result yet; return the results of all, in order.

    runner: by default, one job after the other in this process. out: directory of the sweep, for shared features; by
    default the common parent of all. Mistakes in the settings are raised as `UserError` before training starts. A job
    that fails later does not stop the others: at the end, `Unfinished` reports the failures, or `UserError` if all jobs
    failed by the same mistake.
    """
    console = console or Console(stderr=True)
    missing = [job for job in jobs if not _is_finished(job)]
    if missing:
        from cliptune import experiment
        from cliptune.runners.local import Local
        from cliptune.runners.worker import Worker

        folder = out or Path(os.path.commonpath([job.folder.parent.absolute() for job in jobs]))
        worker = Worker(folder.absolute() / SHARED_FOLDER)
        for job in {job.columns[:2]: job for job in missing}.values():
            experiment.untrained_model(job.run, worker.task_of(job.run))
        scheduler = Scheduler(jobs, missing, console)
        with scheduler.display:
            (runner or Local()).run(scheduler, worker)
        if scheduler.failures:
            _raise_failures(jobs, scheduler.failures)
    return [load_result(job.folder / RESULT_FILE) for job in jobs]


def job_state(job: Job) -> str:
    """The state of a job: "done", "running (OWNER)", "begun" or "missing".

    Raises `UserError` if its directory contains the result of another run.
    """
    if run_dir.is_done(job.folder, job.run):
        return "done"
    if owner := lock_owner(job.folder):
        return f"running ({owner})"
    return "begun" if run_dir.has_progress(job.folder) else "missing"


def _is_finished(job: Job) -> bool:
    """Whether the job is done; removes what a process left that was killed after it wrote the record."""
    if not run_dir.is_done(job.folder, job.run):
        return False
    if run_dir.has_leftovers(job.folder) or (job.folder / LOCK_FILE).exists():
        with suppress(UserError), lock_dir(job.folder):  # it may be locked or read-only
            run_dir.remove_leftovers(job.folder, finished=True)
    return True


def _raise_failures(jobs: Sequence[Job], failures: Sequence[JobFailure]) -> None:
    """Raise `UserError` or `Unfinished`, with one sentence for all jobs that failed for the same reason."""
    by_reason: dict[str, list[JobFailure]] = {}
    for failure in failures:
        by_reason.setdefault(failure.reason, []).append(failure)
    if len(failures) == len(jobs) and len(by_reason) == 1 and failures[0].user_error:
        raise UserError(failures[0].reason)
    sentences = [f"{', '.join(failure.job.title for failure in same)}: {why}" for why, same in by_reason.items()]
    failed = {id(failure.job) for failure in failures}
    results = [load_result(job.folder / RESULT_FILE) for job in jobs if id(job) not in failed]
    raise Unfinished(
        results, [f"{len(failures)} of {len(jobs)} runs failed; the results of the others are saved", *sentences]
    )
