"""Several runs: what is missing is done, what is done is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from cliptune import config, dir_lock, run_dir
from cliptune.errors import Unfinished, UserError
from cliptune.results import store
from cliptune.runners.job import Job
from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import JobFailure, Scheduler
from cliptune.types import Result

__all__ = ["Job", "plan_jobs", "run_jobs", "job_state"]

#: Beside the runs' folders: what they have in common.
SHARED_FOLDER = ".shared"


def plan_jobs(
    labelled: Sequence[tuple[str, config.RunConfig]],
    seeds: Sequence[int],
    out: Path,
    *,
    below: Callable[[config.RunConfig], str] = lambda run: "",
) -> list[Job]:
    """Every run with every seed, seed by seed, so that a sweep cut short has whole tables of fewer seeds.

    below: folders between the label's and the seed's that tell runs of one label apart.
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
    entries: Sequence[Job],
    console: Console | None = None,
    *,
    runner: Runner | None = None,
    out: Path | None = None,
) -> list[Result]:
    """Results of all entries in order, each trained unless its folder holds it already.

    runner: where; by default in this process, one after the other. out: the sweep's folder, for what runs have in
    common; by default the one that holds all of theirs. A mistake that shows before anything is trained is raised at
    once, as `UserError`. Runs that fail later do not keep the others from being done; in the end `Unfinished` tells of
    them, or `UserError` where all failed by the same mistake.
    """
    console = console or Console(stderr=True)
    missing = [entry for entry in entries if not _is_finished(entry)]
    if missing:
        from cliptune import experiment
        from cliptune.runners.local import Local
        from cliptune.runners.worker import Worker

        folder = out or Path(os.path.commonpath([entry.folder.parent.absolute() for entry in entries]))
        desk = Worker(folder.absolute() / SHARED_FOLDER)
        for entry in {(entry.label, entry.run.data): entry for entry in missing}.values():
            experiment.untrained_model(entry.run, desk.task_of(entry.run))
        board = Scheduler(entries, missing, console)
        with board.display:
            (runner or Local()).run(board, desk)
        if board.failures:
            _raise_failures(entries, board.failures)
    return [store.load_result(entry.folder / store.RESULT_FILE) for entry in entries]


def job_state(entry: Job) -> str:
    """Whether the entry is done, running (and who is at it), begun or missing. Raises `UserError` where its folder
    holds another run."""
    if run_dir.is_done(entry.folder, entry.run):
        return "done"
    if who := dir_lock.lock_owner(entry.folder):
        return f"running ({who})"
    return "begun" if run_dir.has_progress(entry.folder) else "missing"


def _is_finished(entry: Job) -> bool:
    """Whether the entry is done; what a process left there that was killed after it wrote the record goes."""
    if not run_dir.is_done(entry.folder, entry.run):
        return False
    if run_dir.has_leftovers(entry.folder) or (entry.folder / dir_lock.LOCK_FILE).exists():
        with suppress(UserError), dir_lock.lock_dir(entry.folder):  # another may be at it, or only reading allowed
            run_dir.remove_leftovers(entry.folder, finished=True)
    return True


def _raise_failures(entries: Sequence[Job], failures: Sequence[JobFailure]) -> None:
    """Raise what says how runs failed, those that failed alike in one sentence."""
    alike: dict[str, list[JobFailure]] = {}
    for failure in failures:
        alike.setdefault(failure.why, []).append(failure)
    if len(failures) == len(entries) and len(alike) == 1 and failures[0].mistake:
        raise UserError(failures[0].why)
    sentences = [f"{', '.join(failure.entry.title for failure in same)}: {why}" for why, same in alike.items()]
    failed = {id(failure.entry) for failure in failures}
    results = [store.load_result(entry.folder / store.RESULT_FILE) for entry in entries if id(entry) not in failed]
    raise Unfinished(results, [f"{len(failures)} of {len(entries)} runs failed; the others are kept", *sentences])
