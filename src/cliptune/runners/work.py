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

from cliptune import claims, experiment, tasks
from cliptune.config import Run, to_dict
from cliptune.data.dataset import Dataset
from cliptune.engine import shared
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import write_text
from cliptune.holds import Held, held
from cliptune.runners.base import Entry, News
from cliptune.types import Task

#: Seconds between two words on where a run is.
EVERY = 0.2
#: The traceback of a run that failed by no fault of the user's.
ERROR = "error.txt"
#: Fields of a run that do not decide its data.
ELSEWHERE = (
    *("method", "training", "precision", "device", "devices"),
    *("fraction", "selector", "selector_variant", "evaluate_at"),  # of all pictures, a run chooses its own
)


class Desk:
    """Where a process works: opened datasets and the latest task stay on it.

    folder: where what processes have in common lies.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self._datasets: dict[Any, Dataset] = {}
        self._tasks: dict[str, Task] = {}

    def work(self, entry: Entry, tell: Callable[[News], Any], runner: str = "local") -> News:
        """Execute the entry unless it is done, telling where it is; how it ended. Raises nothing but what stops the
        process."""
        about = {"runner": runner, "host": platform.node()}
        try:
            several = entry.run.devices > 1
            with held(None if several else entry.folder), shared.within(None if several else self.folder):
                if not claims.done(entry.folder, entry.run):
                    if not several:
                        claims.tidy(entry.folder)
                    experiment.execute(
                        entry.run,
                        entry.folder,
                        watchers=[Telling(tell)],
                        task=self.task_of(entry.run),
                        label=entry.label,
                        about=about,
                    )
                if several:  # the first of the processes that do this run wrote its record
                    experiment.fabric_of(entry.run.device, entry.run.devices, entry.run.precision).barrier()
                else:
                    claims.tidy(entry.folder, finished=True)
                (entry.folder / ERROR).unlink(missing_ok=True)
        except Held:
            return News("busy")
        except UserError as error:
            return News("failed", str(error), total=1)
        except Exception as error:
            return News("failed", _kept(error, entry.folder))
        return News("done")

    def task_of(self, run: Run) -> Task:
        """The run's task, shared with the runs before and after it that train on the same pictures."""
        content = {key: value for key, value in to_dict(run).items() if key not in ELSEWHERE}
        key, place = json.dumps(content, sort_keys=True), (run.data, run.reading)
        if place not in self._datasets:
            self._datasets[place] = tasks.dataset_of(run)
        if key not in self._tasks:
            self._tasks = {key: tasks.task_of(run, self._datasets[place])}
        return self._tasks[key]


class Telling(Watcher):
    """Says where a run is, now and then."""

    def __init__(self, tell: Callable[[News], Any]):
        self.tell, self.news, self.next = tell, News("at"), 0.0

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.news = News("at", "", first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        self.news = replace(self.news, done=self.news.done + 1)
        self._say(self.news)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.news = replace(self.news, text=f"loss {row['loss']:.3f}")

    def other(self, what: str, done: int, total: int) -> None:
        self._say(News("at", what, done, total))

    def _say(self, news: News) -> None:
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + EVERY
            self.tell(news)


def _kept(error: Exception, folder: Path) -> str:
    """A sentence on an error nobody foresaw; its traceback is kept beside what the run left."""
    said = next(iter(str(error).strip().splitlines()), "")
    try:
        write_text(folder / ERROR, "".join(traceback.format_exception(error)))
        where = f" (more in {folder / ERROR})"
    except UserError:
        where = ""
    return f"{type(error).__name__}: {said}{where}"
