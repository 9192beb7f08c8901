"""Trials on this machine: one after the other in this process, or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from lightning_fabric import Fabric

from cliptune import experiment
from cliptune.engine.feature_store import share_features
from cliptune.runners.local import environment, exit_with_parent, resource_share
from cliptune.sweep import SHARED_FOLDER
from cliptune.tuning.executor import Executor, Search
from cliptune.tuning.study import SharedStudy, quiet_optuna
from cliptune.tuning.trial import TrialResult, Validation, attempt_trial, run_trial, validation_of
from cliptune.user_warnings import warn_user

#: Seconds between looks at the trials of worker processes.
POLL_SECONDS = 0.5


class LocalExecutor(Executor):
    """Execute `processes` trials at a time, each in its own process if there are several."""

    def __init__(self, search: Search, processes: int):
        self.search, self.processes = search, processes

    @cached_property
    def fabric(self) -> Fabric:
        """The device and precision of the trials in this process."""
        return experiment.launch_fabric(self.search.run.device, self.search.run.devices, self.search.run.precision)

    def first(self, validation: Validation) -> TrialResult:
        return run_trial(self.search.run, validation, self.fabric)

    def rest(self, study: SharedStudy, validation: Validation, announce: Callable[[], Any]) -> None:
        if self.processes > 1:
            _work_in_processes(self.search, self.processes, announce)
            study.recover()
        self.work(study, validation, announce)

    def work(self, study: SharedStudy, validation: Validation, announce: Callable[[], Any]) -> None:
        """Execute trials in this process until there are enough."""
        announce()
        while asked := study.ask(self.search.trials):
            trial, settings = asked
            should_prune = partial(study.report, trial)
            study.tell(trial, attempt_trial(self.search.run, settings, validation, self.fabric, should_prune))
            announce()


def _work_in_processes(search: Search, count: int, announce: Callable[[], Any]) -> None:
    """Execute trials in worker processes until all of these have ended."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_worker_main, args=(search,), daemon=False) for _ in range(count)]
    try:
        for i, worker in enumerate(workers):
            with environment(resource_share(i, count)):
                worker.start()
        while any(worker.is_alive() for worker in workers):
            time.sleep(POLL_SECONDS)
            announce()
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()
    if dead := [worker for worker in workers if worker.exitcode]:
        warn_user(
            f"{len(dead)} of {count} worker processes died (exit code {dead[0].exitcode}); their trials are repeated "
            f"in the main process"
        )


def _worker_main(search: Search) -> None:
    """Execute trials in a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C and terminates the workers
    threading.Thread(target=exit_with_parent, daemon=True).start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with quiet_optuna(), share_features((search.out / SHARED_FOLDER).absolute()):
            validation = validation_of(search.run, None, search.scored_on, search.folds)
            LocalExecutor(search, 1).work(search.open_study(), validation, lambda: None)
    os._exit(0)  # skips the exit handlers of libraries, which take time
