"""The search: trials in this process or in several, until there are enough; what it found."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from cliptune import experiment, methods
from cliptune.config import RunConfig, fingerprint, with_options
from cliptune.data.dataset import Dataset
from cliptune.dir_lock import lock_dir
from cliptune.engine.feature_store import share_features
from cliptune.errors import UserError
from cliptune.runners.local import environment, exit_with_parent, resource_share
from cliptune.selection.split import ScoredOn
from cliptune.sweep import SHARED_FOLDER
from cliptune.tuning.outputs import write_results
from cliptune.tuning.result import TuneResult
from cliptune.tuning.rows import TrialRow, trial_rows
from cliptune.tuning.space import Dimension, setting
from cliptune.tuning.study import REASON, SECONDS, STUDY, SharedStudy, import_optuna, quiet_optuna
from cliptune.tuning.trial import Pruned, Validation, run_trial, validation_of

#: With fewer validation images than this, a warning says what that means.
FEW_IMAGES = 50
#: Seconds between looks at the trials of worker processes.
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Search:
    """What a search tries: the run that it starts from, the space, the number of trials, the folder, and the images
    that trials are scored on (see `split_task`)."""

    run: RunConfig
    space: tuple[Dimension, ...]
    trials: int
    out: Path
    scored_on: ScoredOn = "auto"
    folds: int = 5

    def open_study(self) -> SharedStudy:
        """The study in the folder, which is created if there is none. Raises `UserError` if it is of another search."""
        identity = {
            "method": methods.name_of(self.run.method),
            "space": " ".join(map(str, self.space)),
            "data, shots, seed or settings": fingerprint(self.run),
            "images to score on": f"{self.scored_on} {self.folds}",
        }
        return SharedStudy(self.out, self.space, self.run.seed, identity)


def run_search(
    search: Search, processes: int = 1, dataset: Dataset | None = None, say: Callable[[str], Any] = lambda line: None
) -> TuneResult:
    """Execute the trials that are missing, and write `best.yaml`, `trials.csv` and `report.html` to the folder.

    The first trial is that of the starting settings. An interrupted search goes on where it was: trials of processes
    that died are repeated.

    dataset: The data, if it is open already; only for one process. say: Receives a line per finished trial. Raises
    `UserError` if the settings of the first trial cannot be trained, or if the folder is in use.
    """
    shared, before = (search.out / SHARED_FOLDER).absolute(), search.out.exists()
    with quiet_optuna(), lock_dir(search.out), share_features(shared):
        try:
            if there := (search.out / STUDY).is_file():
                search.open_study().recover()
            validation = validation_of(search.run, dataset, search.scored_on, search.folds)
            _warn_of_few_images(validation)
            fabric = experiment.launch_fabric(search.run.device, search.run.devices, search.run.precision)
            first = None if there and search.open_study().trials() else run_trial(search.run, validation, fabric)
        except UserError:
            if not before:
                shutil.rmtree(shared, ignore_errors=True)
            raise
        study = search.open_study()
        study.require_same("images", validation.digest)
        announcer = _Announcer(study, search, say)
        if first is not None:
            start = {one.name: setting(search.run, one.name) for one in search.space}
            study.add_default(start, first.accuracy, first.course, first.seconds)
        if processes > 1:
            _work_in_processes(search, processes, announcer)
            study.recover()
        _work(study, search, validation, fabric, announcer)
        rows, importance = trial_rows(study, search.run), study.importance()
    return write_results(search.run, search.space, rows, importance, validation, search.out)


def _warn_of_few_images(validation: Validation) -> None:
    if (images := validation.images) < FEW_IMAGES:
        warnings.warn(
            f"{images} images are few to score trials on: each is {100 / images:.1f} points of accuracy, so the best "
            f"trial may be the best by chance; more images or shots help",
            stacklevel=3,
        )


def _work(
    study: SharedStudy, search: Search, validation: Validation, fabric: Fabric, announcer: Callable[[], Any]
) -> None:
    """Execute trials until there are enough."""
    announcer()
    while asked := study.ask(search.trials):
        _execute(*asked, search.run, validation, fabric)
        announcer()


def _execute(trial: Any, settings: dict[str, Any], run: RunConfig, validation: Validation, fabric: Fabric) -> None:
    """Execute a trial and record how it ended. Warnings are those of the first trial, so they are not repeated."""
    states = import_optuna().trial.TrialState

    def should_prune(step: int, accuracy: float) -> bool:
        trial.report(accuracy, step)
        return trial.should_prune()

    started = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = run_trial(with_options(run, settings), validation, fabric, should_prune)
    except Pruned:
        trial.set_user_attr(SECONDS, time.monotonic() - started)
        trial.study.tell(trial.number, state=states.PRUNED)
    except Exception as error:  # settings may exceed the memory, or make the loss infinite
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        trial.set_user_attr(REASON, next(iter(reason.splitlines()), type(error).__name__))
        trial.study.tell(trial.number, state=states.FAIL)
    else:
        trial.set_user_attr(SECONDS, result.seconds)
        trial.study.tell(trial.number, result.accuracy)


def _work_in_processes(search: Search, count: int, announcer: Callable[[], Any]) -> None:
    """Execute trials in worker processes until all of these have ended."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker_main, args=(search,), daemon=False) for _ in range(count)]
    try:
        for i, worker in enumerate(workers):
            with environment(resource_share(i, count)):
                worker.start()
        while any(worker.is_alive() for worker in workers):
            time.sleep(POLL_SECONDS)
            announcer()
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()
    if dead := [worker for worker in workers if worker.exitcode]:
        warnings.warn(
            f"{len(dead)} of {count} worker processes died (exit code {dead[0].exitcode}); their trials are repeated "
            f"in the main process",
            stacklevel=3,
        )


def _worker_main(search: Search) -> None:
    """Execute trials in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C and terminates the workers
    threading.Thread(target=exit_with_parent, daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with quiet_optuna(), share_features((search.out / SHARED_FOLDER).absolute()):
            study = search.open_study()
            run = search.run
            fabric = experiment.launch_fabric(run.device, run.devices, run.precision)
            validation = validation_of(run, None, search.scored_on, search.folds)
            _work(study, search, validation, fabric, lambda: None)
    os._exit(0)  # skips the exit handlers of libraries, which take time


class _Announcer:
    """Reports each finished trial once."""

    def __init__(self, study: SharedStudy, search: Search, say: Callable[[str], Any]):
        self.study, self.search, self.say = study, search, say
        self.said: set[int] = {row.number for row in self._finished()}

    def __call__(self) -> None:
        for row in self._finished():
            if row.number not in self.said:
                self.said.add(row.number)
                self.say(f"trial {len(self.said)} of {self.search.trials}: {row}")

    def _finished(self) -> Sequence[TrialRow]:
        return [row for row in trial_rows(self.study, self.search.run) if row.state != "running"]
