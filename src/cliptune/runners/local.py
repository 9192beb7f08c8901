"""The local runner: jobs in this process, or in several worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import QueuedJob, Scheduler
from cliptune.runners.worker import Worker, forward_warnings


@dataclass(frozen=True)
class Local(Runner):
    """Execute jobs one after the other in this process, or in `workers` processes that share its cores and GPUs."""

    workers: int = 1

    def run(self, scheduler: Scheduler, worker: Worker) -> None:
        count = min(self.workers, len(scheduler.waiting))
        if count > 1:
            _run_in_processes(scheduler, worker.folder, count)
            return
        while scheduler.has_jobs:
            if queued := scheduler.next_job():
                scheduler.handle(queued, worker.work(queued.job, partial(scheduler.handle, queued)))
            else:
                scheduler.wait()


def _run_in_processes(scheduler: Scheduler, folder: Path | None, count: int) -> None:
    """Give each worker process the next job when it has finished its last; replace a dead one."""
    scheduler.require_single_device()
    scheduler.workers = count
    workers = [_WorkerProcess(i, count, folder) for i in range(count)]
    try:
        while scheduler.has_jobs:
            for i, worker in enumerate(workers):
                if worker.queued is None and (queued := scheduler.next_job()):
                    if not worker.process.is_alive():
                        workers[i] = worker = _WorkerProcess(i, count, folder)
                    worker.assign(queued)
            busy = [worker for worker in workers if worker.queued]
            wait([source for worker in busy for source in (worker.connection, worker.process.sentinel)], 0.2)
            for worker in busy:
                worker.forward_events(scheduler)
            if not scheduler.running:
                scheduler.wait()
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.stop()


class _WorkerProcess:
    """A worker process and the job it executes. number: from 0, of `count` workers."""

    def __init__(self, number: int, count: int, folder: Path | None):
        context = multiprocessing.get_context("spawn")
        self.queued: QueuedJob | None = None
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_worker_main, args=(theirs, number + 1, folder), daemon=False)
        with environment(resource_share(number, count)):
            self.process.start()
        theirs.close()  # the process has the only other end, so the pipe closes when it dies

    def assign(self, queued: QueuedJob) -> None:
        """Send a job to the process."""
        self.queued = queued
        try:
            self.connection.send(queued.job)
        except OSError:  # the process died, which `forward_events` detects
            pass

    def forward_events(self, scheduler: Scheduler) -> None:
        """Pass the events received so far to the scheduler, or report that the process died."""
        alive = self.process.is_alive()  # checked before its last events are read
        try:
            while self.queued is not None and self.connection.poll():
                event, queued = self.connection.recv(), self.queued
                if event.is_final:
                    self.queued = None
                scheduler.handle(queued, event)
        except (EOFError, OSError):
            self.process.join(5)
            alive = False
        if self.queued is not None and not alive:
            queued, self.queued = self.queued, None
            scheduler.worker_died(queued, _exit_reason(self.process.exitcode))

    def stop(self) -> None:
        """Wait for the process to end, and kill it after 10 s."""
        self.process.join(10)
        self.process.kill()
        self.process.join()
        self.connection.close()


def _worker_main(connection: Connection, number: int, folder: Path | None) -> None:
    """Execute jobs from the connection until it closes or the process is terminated."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process handles Ctrl-C and terminates the workers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=exit_with_parent, daemon=True).start()
    worker = Worker(folder)
    try:
        with forward_warnings(connection.send):
            while True:
                job = connection.recv()
                connection.send(worker.work(job, connection.send, f"local, worker {number}"))
    except (EOFError, OSError, SystemExit):
        os._exit(0)  # skips the exit handlers of libraries, which take time


def exit_with_parent() -> None:
    """Exit when the main process does, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def resource_share(number: int, count: int) -> dict[str, str]:
    """A worker's share of cores and GPUs, as environment variables that torch reads when it is imported."""
    share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, available_cores() // count))}
    if torch.cuda.device_count() > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        devices = visible if visible != [""] else [str(i) for i in range(torch.cuda.device_count())]
        share["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    return share


def available_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _exit_reason(code: int | None) -> str:
    """How a worker process ended, for messages."""
    if code is not None and code < 0:
        return f"was killed by signal {-code}" + (" (possibly out of memory)" if code == -9 else "")
    return f"ended with exit code {code}"
