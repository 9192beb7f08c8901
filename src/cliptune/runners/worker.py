"""Execution of one job in the current process."""

from __future__ import annotations

import json
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from cliptune import experiment, run_dir, tasks
from cliptune.config import RunConfig, to_dict
from cliptune.data.dataset import Dataset
from cliptune.dir_lock import DirLocked, lock_dir
from cliptune.engine import feature_store
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import write_text
from cliptune.loggers import build_loggers
from cliptune.runners.job import Job, JobEvent
from cliptune.types import Task

#: Receives the events of a job.
Send = Callable[[JobEvent], Any]
#: Least time in seconds between two progress events.
EVENT_INTERVAL = 0.2
#: File for the traceback of an unexpected error.
ERROR_FILE = "error.txt"
#: Fields of a configuration that do not affect the task.
NON_DATA_FIELDS = (
    *("method", "training", "precision", "device", "devices", "linear_backend"),
    *("fraction", "selector", "selector_variant", "evaluate_at"),  # the task has all images, a run selects from them
)


class Worker:
    """Executes jobs, keeping open datasets and the latest task for the next ones.

    folder: directory of the features that the processes of a sweep share.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._datasets: dict[Any, Dataset] = {}
        self._tasks: dict[str, Task] = {}
        self._fabrics: dict[Any, Fabric] = {}

    def work(self, job: Job, send: Send, runner: str = "local") -> JobEvent:
        """Execute the job unless it is done already, and return the final event.

        send: receives progress events. runner: name for the record. Errors become "failed" events.
        """
        folder = job.folder
        try:
            distributed = job.run.devices > 1  # then the processes of one run share the directory
            locked, shared = (None, None) if distributed else (folder, self.folder)
            with lock_dir(locked), feature_store.share_features(shared):
                if not run_dir.is_done(folder, job.run):
                    if not distributed:
                        run_dir.remove_leftovers(folder)
                    self._execute(job, send, {"runner": runner, "host": platform.node()})
                if distributed:  # the main process writes the record
                    self.fabric_of(job.run).barrier()
                else:
                    run_dir.remove_leftovers(folder, finished=True)
                (folder / ERROR_FILE).unlink(missing_ok=True)
        except DirLocked:
            return JobEvent("locked")
        except UserError as error:
            return JobEvent("failed", str(error), user_error=True)
        except Exception as error:
            return JobEvent("failed", _describe_error(error, folder))
        return JobEvent("done")

    def task_of(self, run: RunConfig) -> Task:
        """The task of a run, reused while consecutive runs train on the same images."""
        content = {key: value for key, value in to_dict(run).items() if key not in NON_DATA_FIELDS}
        # What of the method and the training decides on images: a pool, a test set to choose on, validation images.
        content["needs"] = [run.method.pool, run.method.chooses_on_test, bool(tasks.validation_use(run))]
        key, dataset = json.dumps(content, sort_keys=True), (run.data, run.reading)
        if dataset not in self._datasets:
            self._datasets[dataset] = tasks.open_dataset(run)
        if key not in self._tasks:
            self._tasks = {key: tasks.build_task(run, self._datasets[dataset])}
        return self._tasks[key]

    def fabric_of(self, run: RunConfig) -> Fabric:
        """The fabric of a run, launched once: processes for several devices can be started only once."""
        key = run.device, run.devices, run.precision
        if key not in self._fabrics:
            self._fabrics[key] = experiment.launch_fabric(*key)
        return self._fabrics[key]

    def _execute(self, job: Job, send: Send, provenance: Mapping[str, Any]) -> None:
        experiment.run_experiment(
            job.run,
            job.folder,
            watchers=[EventWatcher(send), *build_loggers(job.loggers)],
            task=self.task_of(job.run),
            fabric=self.fabric_of(job.run),
            label=job.label,
            about=provenance,
        )


class EventWatcher(Watcher):
    """Sends the progress of a run as events, at most one per `EVENT_INTERVAL`."""

    def __init__(self, send: Send):
        self.send, self.event, self.next = send, JobEvent("progress"), 0.0

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.event = JobEvent("progress", "", first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        self.event = replace(self.event, done=self.event.done + 1)
        self._send(self.event)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.event = replace(self.event, text=f"loss {row['loss']:.3f}")

    def progress(self, what: str, done: int, total: int) -> None:
        self._send(JobEvent("progress", what, done, total))

    def _send(self, event: JobEvent) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVENT_INTERVAL
            self.send(event)


@contextmanager
def forward_warnings(send: Send) -> Iterator[None]:
    """Send warnings as events within the block instead of printing them."""
    before = warnings.showwarning
    warnings.showwarning = lambda message, *_, **__: send(JobEvent("warning", str(message)))
    try:
        yield
    finally:
        warnings.showwarning = before


def _describe_error(error: Exception, folder: Path) -> str:
    """One sentence about an unexpected error, whose traceback is written to the run directory."""
    message = next(iter(str(error).strip().splitlines()), "")
    try:
        write_text(folder / ERROR_FILE, "".join(traceback.format_exception(error)))
        details = f" (traceback in {folder / ERROR_FILE})"
    except UserError:
        details = ""
    return f"{type(error).__name__}: {message}{details}"
