"""Runs on this machine: in this process, or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from cliptune.runners.job import JobEvent
from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import QueuedJob, Scheduler
from cliptune.runners.worker import Worker


@dataclass(frozen=True)
class Local(Runner):
    """One run after the other in this process; with `workers` above 1, as many at a time in processes of their own,
    which share the machine's cores and GPUs."""

    workers: int = 1

    def run(self, board: Scheduler, desk: Worker) -> None:
        count = min(self.workers, len(board.waiting))
        if count > 1:
            _run_in_processes(board, desk, count)
            return
        while board.left:
            if item := board.next():
                board.news(item, desk.work(item.entry, partial(board.news, item)))
            else:
                board.pause()


def _run_in_processes(board: Scheduler, desk: Worker, count: int) -> None:
    """Each worker gets the next run when it is done with its last; a dead one is replaced."""
    board.require_single_device()
    board.workers = count
    workers = [_WorkerProcess(i, count, desk.folder) for i in range(count)]
    try:
        while board.left:
            for i, worker in enumerate(workers):
                if worker.item is None and (item := board.next()):
                    if not worker.process.is_alive():
                        workers[i] = worker = _WorkerProcess(i, count, desk.folder)
                    worker.give(item)
            wait([w for worker in workers if worker.item for w in (worker.mail, worker.process.sentinel)], 0.2)
            for worker in workers:
                worker.listen(board)
            if not board.running:
                board.pause()
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.stop()


class _WorkerProcess:
    """A process and what it is at."""

    def __init__(self, number: int, of: int, folder: Path | None):
        context = multiprocessing.get_context("spawn")
        self.item: QueuedJob | None = None
        self.mail, theirs = context.Pipe()
        self.process = context.Process(target=_worker_main, args=(theirs, number + 1, folder), daemon=False)
        with _environment(_resource_share(number, of)):
            self.process.start()
        theirs.close()  # so that its end is the pipe's

    def give(self, item: QueuedJob) -> None:
        """Have it do a run."""
        self.item = item
        try:
            self.mail.send(item.entry)
        except OSError:  # it is dead, which `listen` finds
            pass

    def listen(self, board: Scheduler) -> None:
        """Pass on what it said, or that it died."""
        alive = self.process.is_alive()  # before its last words are read
        try:
            while self.item is not None and self.mail.poll():
                news = self.mail.recv()
                item = self.item
                if news.kind not in ("at", "note"):
                    self.item = None
                board.news(item, news)
        except (EOFError, OSError):
            self.process.join(5)
            alive = False
        if self.item is not None and not alive:
            item, self.item = self.item, None
            board.died(item, _exit_reason(self.process.exitcode))

    def stop(self) -> None:
        """End it, if need be by force."""
        self.process.join(10)
        self.process.kill()
        self.process.join()
        self.mail.close()


def _worker_main(mail: Connection, number: int, folder: Path | None) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides what becomes of all
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    warnings.showwarning = lambda message, *_, **__: mail.send(JobEvent("note", str(message)))
    desk = Worker(folder)
    try:
        while True:
            entry = mail.recv()
            mail.send(desk.work(entry, mail.send, f"local, worker {number}"))
    except (EOFError, OSError, SystemExit):
        os._exit(0)  # at once: nothing is left to be done, and what libraries do at the end of a process takes time


def _exit_with_parent() -> None:
    """Go when the first process does, however it ended."""
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)


def _resource_share(number: int, of: int) -> dict[str, str]:
    """A worker's part of the machine, as environment variables that are read before torch starts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // of))}
    if torch.cuda.device_count() > 1:
        named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        devices = named if named != [""] else [str(i) for i in range(torch.cuda.device_count())]
        share["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    return share


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables for processes started in the block."""
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
    """What the end of a process says of it."""
    if code is not None and code < 0:
        return f"was killed by signal {-code}" + (" (for want of memory, perhaps)" if code == -9 else "")
    return f"ended with exit code {code}"
