"""The queue of a sweep: which job is next, which ones failed, how long the rest will take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from cliptune.errors import UserError
from cliptune.results.store import RESULT_FILE, load_result
from cliptune.runners.display import SweepDisplay
from cliptune.runners.job import Job, JobEvent
from cliptune.user_warnings import warn_user

#: How often a job is restarted after its worker process died.
MAX_RETRIES = 2
#: Seconds before a job whose directory is locked by another process is tried again.
RETRY_SECONDS = 1.0


@dataclass(eq=False)  # compared and hashed by identity, as its fields change
class QueuedJob:
    """A job that is not finished. due: time (`time.monotonic`) before which it must not start."""

    job: Job
    due: float = 0.0
    started: float = 0.0
    deaths: int = 0


@dataclass(frozen=True)
class JobFailure:
    """A job that failed, and the reason. user_error: whether the user's settings caused it."""

    job: Job
    reason: str
    user_error: bool


class Scheduler:
    """Hands out jobs, records how they end, and updates the display.

    jobs: the whole sweep. missing: the jobs to execute.
    """

    def __init__(self, jobs: Sequence[Job], missing: Sequence[Job], console: Console):
        self.waiting = [QueuedJob(job) for job in missing]
        self.running: list[QueuedJob] = []
        self.failures: list[JobFailure] = []
        self.workers = 1
        self._durations: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        todo = {id(job) for job in missing}
        for job in jobs:
            if id(job) not in todo:
                cost = load_result(job.folder / RESULT_FILE).cost
                self._durations[job.columns[:-1]] += [cost["seconds"]] if "seconds" in cost else []
        self.display = SweepDisplay(console, len(jobs), len(jobs) - len(missing))

    @property
    def has_jobs(self) -> bool:
        """Whether any job is waiting or running."""
        return bool(self.waiting or self.running)

    def require_single_device(self) -> None:
        """Raise `UserError` if a job trains on several devices, whose processes only the main process can start."""
        for queued in self.waiting:
            if queued.job.run.devices > 1:
                raise UserError(
                    f"{queued.job.label} trains on several devices at once, so it needs --runner local --workers 1"
                )

    def next_job(self) -> QueuedJob | None:
        """Start the next job that is due, or return None."""
        now = time.monotonic()
        queued = next((queued for queued in self.waiting if queued.due <= now), None)
        if queued is not None:
            self.waiting.remove(queued)
            self.running.append(queued)
            queued.started = now
            self.display.start(queued, queued.job.title)
        return queued

    def wait(self) -> None:
        """Sleep until a job may be due."""
        time.sleep(RETRY_SECONDS / 10)

    def handle(self, queued: QueuedJob, event: JobEvent) -> None:
        """Process a worker's event."""
        match event.kind:
            case "warning":
                warn_user(event.text)
            case "progress":
                self.display.update(queued, event.text, event.done, event.total, self.seconds_left())
            case "locked":
                self._stop(queued)
                queued.due = time.monotonic() + RETRY_SECONDS
                self.waiting.append(queued)
                if not self.running and all(other.due for other in self.waiting):
                    self.display.print_once(f"waiting for {len(self.waiting)} that another process is running")
            case "failed":
                self._stop(queued)
                self.failures.append(JobFailure(queued.job, event.text, event.user_error))
                self.display.finish(f"{queued.job.title} failed", self.seconds_left())
            case "done":
                self._stop(queued)
                seconds = time.monotonic() - queued.started
                self._durations[queued.job.columns[:-1]].append(seconds)
                self.display.finish(f"{queued.job.title} in {seconds:.0f} s", self.seconds_left())

    def worker_died(self, queued: QueuedJob, reason: str) -> None:
        """Requeue a job whose worker process died, or fail it after `MAX_RETRIES` restarts."""
        queued.deaths += 1
        if queued.deaths > MAX_RETRIES:
            self.handle(queued, JobEvent("failed", f"its worker {reason}, as in {MAX_RETRIES} attempts before"))
            return
        self._stop(queued)
        self.waiting.insert(0, queued)
        self.display.print(f"{queued.job.title}: its worker {reason}; another one resumes it")

    def seconds_left(self) -> float | None:
        """Estimate of the time until all jobs are done, from the jobs of this sweep that are; None without any."""
        known = [second for seconds in self._durations.values() for second in seconds]
        if not known:
            return None
        mean = sum(known) / len(known)

        def expected(queued: QueuedJob) -> float:
            own = self._durations.get(queued.job.columns[:-1])
            return sum(own) / len(own) if own else mean

        now = time.monotonic()
        running = [max(0.0, expected(queued) - (now - queued.started)) for queued in self.running]
        return max([(sum(map(expected, self.waiting)) + sum(running)) / self.workers, *running])

    def _stop(self, queued: QueuedJob) -> None:
        self.running.remove(queued)
        self.display.stop(queued)
