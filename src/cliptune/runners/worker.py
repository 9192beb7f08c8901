"""One run of a sweep, in whichever process."""

from __future__ import annotations

import json
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cliptune import experiment, run_dir, tasks
from cliptune.config import RunConfig, to_dict
from cliptune.data.dataset import Dataset
from cliptune.dir_lock import DirLocked, lock_dir
from cliptune.engine import feature_store
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import write_text
from cliptune.runners.job import Job, JobEvent
from cliptune.types import Task

#: Seconds between two words on where a run is.
EVENT_INTERVAL = 0.2
#: The traceback of a run that failed by no fault of the user's.
ERROR_FILE = "error.txt"
#: Fields of a run that do not decide its data.
NON_DATA_FIELDS = (
    *("method", "training", "precision", "device", "devices"),
    *("fraction", "selector", "selector_variant", "evaluate_at"),  # of all pictures, a run chooses its own
)


class Worker:
    """Where a process works: opened datasets and the latest task stay on it.

    folder: where what processes have in common lies.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._datasets: dict[Any, Dataset] = {}
        self._tasks: dict[str, Task] = {}

    def work(self, entry: Job, tell: Callable[[JobEvent], Any], runner: str = "local") -> JobEvent:
        """Execute the entry unless it is done, telling where it is; how it ended. Raises nothing but what stops the
        process."""
        about = {"runner": runner, "host": platform.node()}
        try:
            several = entry.run.devices > 1
            with lock_dir(None if several else entry.folder), feature_store.within(None if several else self.folder):
                if not run_dir.is_done(entry.folder, entry.run):
                    if not several:
                        run_dir.remove_leftovers(entry.folder)
                    experiment.run_experiment(
                        entry.run,
                        entry.folder,
                        watchers=[EventWatcher(tell)],
                        task=self.task_of(entry.run),
                        label=entry.label,
                        about=about,
                    )
                if several:  # the first of the processes that do this run wrote its record
                    experiment.launch_fabric(entry.run.device, entry.run.devices, entry.run.precision).barrier()
                else:
                    run_dir.remove_leftovers(entry.folder, finished=True)
                (entry.folder / ERROR_FILE).unlink(missing_ok=True)
        except DirLocked:
            return JobEvent("busy")
        except UserError as error:
            return JobEvent("failed", str(error), total=1)
        except Exception as error:
            return JobEvent("failed", _describe_error(error, entry.folder))
        return JobEvent("done")

    def task_of(self, run: RunConfig) -> Task:
        """The run's task, shared with the runs before and after it that train on the same pictures."""
        content = {key: value for key, value in to_dict(run).items() if key not in NON_DATA_FIELDS}
        key, place = json.dumps(content, sort_keys=True), (run.data, run.reading)
        if place not in self._datasets:
            self._datasets[place] = tasks.open_dataset(run)
        if key not in self._tasks:
            self._tasks = {key: tasks.build_task(run, self._datasets[place])}
        return self._tasks[key]


class EventWatcher(Watcher):
    """Says where a run is, now and then."""

    def __init__(self, tell: Callable[[JobEvent], Any]):
        self.tell, self.news, self.next = tell, JobEvent("at"), 0.0

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.news = JobEvent("at", "", first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        self.news = replace(self.news, done=self.news.done + 1)
        self._say(self.news)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.news = replace(self.news, text=f"loss {row['loss']:.3f}")

    def other(self, what: str, done: int, total: int) -> None:
        self._say(JobEvent("at", what, done, total))

    def _say(self, news: JobEvent) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVENT_INTERVAL
            self.tell(news)


def _describe_error(error: Exception, folder: Path) -> str:
    """A sentence on an error nobody foresaw; its traceback is kept beside what the run left."""
    said = next(iter(str(error).strip().splitlines()), "")
    try:
        write_text(folder / ERROR_FILE, "".join(traceback.format_exception(error)))
        where = f" (more in {folder / ERROR_FILE})"
    except UserError:
        where = ""
    return f"{type(error).__name__}: {said}{where}"
