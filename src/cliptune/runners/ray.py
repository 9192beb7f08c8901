"""Runs on a Ray cluster: of this machine's cores, or one that is there already."""

from __future__ import annotations

import logging
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cliptune import run_dir
from cliptune.errors import UserError
from cliptune.runners.job import Job, JobEvent
from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import QueuedJob, Scheduler
from cliptune.runners.worker import Worker

#: Variables that workers are told: where caches are, which code is found.
FORWARDED_VARIABLES = ("CLIPTUNE_", "PYTHONPATH", "OMP_WAIT_POLICY")
#: Seconds until a record that another machine wrote must be seen here.
RECORD_TIMEOUT = 30.0


@dataclass(frozen=True)
class Ray(Runner):
    """Each run is a Ray task with so many cores and GPUs; parts of a GPU let several share it.

    workers: tasks at a time, 0 for as many as the cluster takes. address: "local" starts a cluster of this machine,
    "auto" or HOST:PORT joins one; its machines find data and results under the same paths.
    """

    workers: int = 0
    address: str = "local"
    cpus_per_task: float = 1.0
    gpus_per_task: float = 0.0

    def run(self, board: Scheduler, desk: Worker) -> None:
        board.require_single_device()
        with _connect(self) as ray:
            from ray.util.queue import Queue  # needs a cluster

            mail: Any = Queue(actor_options={"num_cpus": 0, "max_restarts": -1})
            task = ray.remote(num_cpus=self.cpus_per_task, num_gpus=self.gpus_per_task, max_retries=0)(_run_task)
            running: dict[Any, QueuedJob] = {}
            try:
                while board.left:
                    board.workers = self._places(ray)
                    while len(running) < board.workers and (item := board.next()):
                        item.entry.folder.parent.mkdir(parents=True, exist_ok=True)
                        place = Job(item.entry.label, item.entry.run, item.entry.folder.absolute())
                        running[task.remote(place, mail, desk.folder, os.getcwd())] = item
                    over, _ = ray.wait(list(running), timeout=0.2) if running else ([], board.pause())
                    for text, news in _read_events(mail):
                        for item in running.values():
                            if item.entry.folder.absolute() == text:
                                board.news(item, news)
                    for ref in over:
                        _finish_task(ray, ref, running.pop(ref), board)
            finally:
                for ref in running:
                    ray.cancel(ref, force=True)

    def _places(self, ray: Any) -> int:
        """How many tasks the cluster takes at a time. Raises `UserError` for none."""
        there = ray.cluster_resources()
        takes = []
        for name, each in (("CPU", self.cpus_per_task), ("GPU", self.gpus_per_task)):
            if each > 0:
                takes.append(int(there.get(name, 0) / each))
                if not takes[-1]:
                    flag = f"--{name.lower()}s-per-task"
                    raise UserError(f"{flag} {each:g} is more than the Ray cluster has: {there.get(name, 0):g} {name}s")
        return max(1, min(filter(None, (self.workers, *takes)), default=1))


def _run_task(entry: Job, mail: Any, folder: Path | None, cwd: str) -> JobEvent:
    """What a task does, in a process of Ray's."""
    with suppress(OSError):
        os.chdir(cwd)  # paths of data are as they were typed

    def tell(news: JobEvent) -> None:
        with suppress(Exception):  # nobody listens any more: the run is worth finishing all the same
            mail.put_nowait((entry.folder, news))

    warnings.showwarning = lambda message, *_, **__: tell(JobEvent("note", str(message)))
    return _cached_worker(folder).work(entry, tell, "ray")


@lru_cache(maxsize=1)
def _cached_worker(folder: Path | None) -> Worker:
    """A process does many tasks."""
    return Worker(folder)


def _finish_task(ray: Any, ref: Any, item: QueuedJob, board: Scheduler) -> None:
    """Take down how a task ended."""
    try:
        news = ray.get(ref)
    except ray.exceptions.RayError as error:
        kind = type(error).__name__
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        board.died(item, "died" if kind == "WorkerCrashedError" else f"is gone ({kind}: {said[:200]})")
        return
    until = time.monotonic() + RECORD_TIMEOUT
    while news.kind == "done" and not run_dir.is_done(item.entry.folder, item.entry.run):
        if time.monotonic() > until:
            why = f"no record came to {item.entry.folder}; --out must be on a disk that all machines share"
            news = JobEvent("failed", why, total=1)
        time.sleep(0.1)
    board.news(item, news)


def _read_events(mail: Any) -> Iterator[tuple[Path, JobEvent]]:
    """What came since; nothing while the process that keeps it is being replaced."""
    from ray.exceptions import RayError
    from ray.util.queue import Empty

    with suppress(RayError, Empty):
        if count := mail.qsize():
            yield from mail.get_nowait_batch(count)


def _check_address(address: str) -> bool:
    """Whether the address is HOST:PORT. Raises `OSError` where nothing answers there: Ray itself would end the
    process."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()) or "/" in address:
        return False
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    return True


@contextmanager
def _connect(settings: Ray) -> Iterator[Any]:
    """Ray, connected. Raises `UserError` where it is not installed, or there is no such cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UserError('--runner ray needs the package ray: pip install "cliptune[ray]"') from None
    if ray.is_initialized():  # the caller's own
        yield ray
        return
    told = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED_VARIABLES)}
    how: dict[str, Any] = {"runtime_env": {"env_vars": told}, "log_to_driver": False, "logging_level": logging.ERROR}
    if settings.address == "local":
        cores = settings.workers * settings.cpus_per_task
        how |= {"include_dashboard": False, **({"num_cpus": max(1, round(cores))} if cores else {})}
    way = "start one with: ray start --head, or say --address local"
    try:
        if _check_address(settings.address):  # Ray passes a token on only where it is told to
            way = f"it must be of Ray {ray.__version__}; if it asks for a token, set RAY_AUTH_MODE=token"
        ray.init(address=settings.address, **how)
    except Exception as error:  # which is what Ray raises where its own processes are slow to start
        said = next(iter(str(error).splitlines()), "").rstrip(".")
        if settings.address == "local":
            raise UserError(f"Ray did not start here ({said}); try again, or use --workers without it") from None
        raise UserError(f"no Ray cluster at {settings.address!r} ({said}); {way}") from None
    try:
        yield ray
    finally:
        ray.shutdown()
