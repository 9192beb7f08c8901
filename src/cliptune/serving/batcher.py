"""Compute the images of concurrent requests together, in one thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class _Job:
    key: Hashable
    item: Any
    future: Future[Any] = field(default_factory=Future)


class Batcher:
    """A thread that calls `compute` on everything that arrived while it was busy.

    Nothing waits for a batch to fill: an item that arrives when the thread is idle is computed at once, and under load
    batches grow to `max_batch`.

    Args:
        compute: Gets a key and at most `max_batch` items that were submitted with it; returns a result per item.
        max_batch: Largest number of items that are computed together.
    """

    def __init__(self, compute: Callable[[Any, Sequence[Any]], Sequence[Any]], max_batch: int):
        self._compute, self._max_batch = compute, max_batch
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cliptune-batches", daemon=True)
        self._thread.start()

    def submit(self, key: Hashable, item: Any) -> Future[Any]:
        """Queue an item. The future gets its result, or what `compute` raises for it."""
        job = _Job(key, item)
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """End the thread once the items submitted so far are computed."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        closed = False
        while not closed:
            jobs = [self._queue.get()]
            while len(jobs) < self._max_batch and not self._queue.empty():  # no other thread takes from the queue
                jobs.append(self._queue.get())
            closed = None in jobs
            by_key: dict[Hashable, list[_Job]] = {}
            for job in jobs:
                if job is not None and job.future.set_running_or_notify_cancel():  # False if its request is gone
                    by_key.setdefault(job.key, []).append(job)
            for key, same in by_key.items():
                self._answer(key, same)

    def _answer(self, key: Hashable, jobs: Sequence[_Job]) -> None:
        try:
            results = self._compute(key, [job.item for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:  # one at a time, so that each request gets its own error only
                self._answer(key, [job])
            return
        for job, result in zip(jobs, results, strict=True):
            job.future.set_result(result)
