"""What is left of a sweep and what became of the rest; it is shown while the sweep goes on."""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from cliptune.errors import UserError
from cliptune.results import store
from cliptune.runners.display import SweepDisplay
from cliptune.runners.job import Job, JobEvent

#: Times a run is tried again after the process that ran it died.
MAX_RETRIES = 2
#: Seconds before a run that another sweep is at is asked for again.
RETRY_SECONDS = 1.0


@dataclass
class QueuedJob:
    """An entry that is not done. due: not to be started before this moment."""

    entry: Job
    due: float = 0.0
    began: float = 0.0
    deaths: int = 0


@dataclass(frozen=True)
class JobFailure:
    """A run that could not be done, and why; mistake: the user's settings are to blame."""

    entry: Job
    why: str
    mistake: bool


class Scheduler:
    """The runs that are waiting and running. `missing` is what is to be done of `entries`."""

    def __init__(self, entries: Sequence[Job], missing: Sequence[Job], console: Console):
        self.waiting = [QueuedJob(entry) for entry in missing]
        self.running: list[QueuedJob] = []
        self.failures: list[JobFailure] = []
        self.workers = 1
        self._seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        todo = {id(entry) for entry in missing}
        for entry in entries:
            if id(entry) not in todo:
                cost = store.load_result(entry.folder / store.RESULT_FILE).cost
                self._seconds[entry.told[:-1]] += [cost["seconds"]] if "seconds" in cost else []
        self.display = SweepDisplay(console, len(entries), len(entries) - len(missing))

    @property
    def left(self) -> bool:
        """Whether there is anything waiting or running."""
        return bool(self.waiting or self.running)

    def require_single_device(self) -> None:
        """Raise `UserError` for a run that starts processes of its own, which only the first process can."""
        for item in self.waiting:
            if item.entry.run.devices > 1:
                raise UserError(
                    f"{item.entry.label} trains on several devices at once, so it needs --runner local --workers 1"
                )

    def next(self) -> QueuedJob | None:
        """The next to be started, which is taken down as running, or None if none is due."""
        now = time.monotonic()
        item = next((item for item in self.waiting if item.due <= now), None)
        if item is not None:
            self.waiting.remove(item)
            self.running.append(item)
            item.began = now
            self.display.began(item, item.entry.title)
        return item

    def pause(self) -> None:
        """Wait until something may be due."""
        time.sleep(RETRY_SECONDS / 10)

    def news(self, item: QueuedJob, news: JobEvent) -> None:
        """Take in what a worker says."""
        if news.kind == "note":
            warnings.warn(news.text, stacklevel=2)
        elif news.kind == "at":
            self.display.at(item, news.text, news.done, news.total, self._left())
        elif news.kind == "busy":
            self._stop(item)
            item.due = time.monotonic() + RETRY_SECONDS
            self.waiting.append(item)
            if not self.running and all(other.due for other in self.waiting):
                self.display.once(f"waiting for {len(self.waiting)} that another process is at")
        elif news.kind == "failed":
            self._stop(item)
            self.failures.append(JobFailure(item.entry, news.text, bool(news.total)))
            self.display.ended(f"{item.entry.title} failed", self._left())
        else:
            self._stop(item)
            seconds = time.monotonic() - item.began
            self._seconds[item.entry.told[:-1]].append(seconds)
            self.display.ended(f"{item.entry.title} in {seconds:.0f} s", self._left())

    def died(self, item: QueuedJob, why: str) -> None:
        """A worker is gone in the middle of a run: it is tried again, a few times."""
        item.deaths += 1
        if item.deaths > MAX_RETRIES:
            self.news(item, JobEvent("failed", f"its worker {why}, like those of {MAX_RETRIES} tries before"))
            return
        self._stop(item)
        self.waiting.insert(0, item)
        self.display.say(f"{item.entry.title}: its worker {why}; another goes on where it was")

    def _stop(self, item: QueuedJob) -> None:
        self.running.remove(item)
        self.display.stopped(item)

    def _left(self) -> float | None:
        """Seconds until all is done, judged by what is; None if nothing is."""
        known = [second for seconds in self._seconds.values() for second in seconds]
        if not known:
            return None
        mean = sum(known) / len(known)

        def expected(item: QueuedJob) -> float:
            own = self._seconds.get(item.entry.told[:-1])
            return sum(own) / len(own) if own else mean

        now = time.monotonic()
        going = [max(0.0, expected(item) - (now - item.began)) for item in self.running]
        return max([(sum(map(expected, self.waiting)) + sum(going)) / self.workers, *going])
