"""The Ray runner: jobs as tasks on a Ray cluster, one that exists or one started on this machine."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from cliptune import run_dir
from cliptune.errors import UserError
from cliptune.runners.job import Job, JobEvent
from cliptune.runners.runner import Runner
from cliptune.runners.scheduler import QueuedJob, Scheduler
from cliptune.runners.worker import Worker, forward_warnings

#: Prefixes of the environment variables passed on to tasks: cache folders, import path, threads.
FORWARDED_VARIABLES = ("CLIPTUNE_", "PYTHONPATH", "OMP_WAIT_POLICY")
#: Seconds until a record written by another machine must be visible on the shared disk.
RECORD_TIMEOUT = 30.0


@dataclass(frozen=True)
class Ray(Runner):
    """Execute each job as a Ray task with a number of cores and GPUs; fractions of a GPU let several jobs share it.

    workers: tasks at a time, 0 for as many as the cluster has resources for. address: "local" starts a cluster on this
    machine, "auto" or HOST:PORT joins one. All machines must find data and results under the same paths.
    """

    workers: int = 0
    address: str = "local"
    cpus_per_task: float = 1.0
    gpus_per_task: float = 0.0

    def run(self, scheduler: Scheduler, worker: Worker) -> None:
        scheduler.require_single_device()
        with connect(self) as ray:
            from ray.util.queue import Queue  # needs a connection

            events: Any = Queue(actor_options={"num_cpus": 0, "max_restarts": -1})
            task = ray.remote(num_cpus=self.cpus_per_task, num_gpus=self.gpus_per_task, max_retries=0)(_run_task)
            running: dict[Any, QueuedJob] = {}
            try:
                while scheduler.has_jobs:
                    scheduler.workers = self.capacity(ray)
                    while len(running) < scheduler.workers and (queued := scheduler.next_job()):
                        folder = queued.job.folder.absolute()
                        folder.parent.mkdir(parents=True, exist_ok=True)
                        job = replace(queued.job, folder=folder)
                        running[task.remote(job, events, worker.folder, os.getcwd())] = queued
                    finished, _ = ray.wait(list(running), timeout=0.2) if running else ([], scheduler.wait())
                    for folder, event in _read_events(events):
                        for queued in running.values():
                            if queued.job.folder.absolute() == folder:
                                scheduler.handle(queued, event)
                    for ref in finished:
                        _finish_task(ray, ref, running.pop(ref), scheduler)
            finally:
                for ref in running:
                    ray.cancel(ref, force=True)

    def capacity(self, ray: Any) -> int:
        """Number of tasks that fit on the cluster at a time. Raises `UserError` if none does."""
        available = ray.cluster_resources()
        limits = [self.workers] if self.workers else []
        for name, each in (("CPU", self.cpus_per_task), ("GPU", self.gpus_per_task)):
            if each > 0:
                limits.append(int(available.get(name, 0) / each))
                if not limits[-1]:
                    raise UserError(
                        f"--{name.lower()}s-per-task {each:g} is more than the Ray cluster has: "
                        f"{available.get(name, 0):g} {name}s"
                    )
        return min(limits, default=1)


def _run_task(job: Job, events: Any, folder: Path | None, working_directory: str) -> JobEvent:
    """Body of a Ray task: execute the job in a process of the cluster."""
    with suppress(OSError):
        os.chdir(working_directory)  # relative paths of data refer to it

    def send(event: JobEvent) -> None:
        with suppress(Exception):  # the main process may be gone; the run is finished all the same
            events.put_nowait((job.folder, event))

    with forward_warnings(send):
        return _cached_worker(folder).work(job, send, "ray")


@lru_cache(maxsize=1)
def _cached_worker(folder: Path | None) -> Worker:
    """The worker of this Ray process, which executes many tasks; only module state survives from one to the next."""
    return Worker(folder)


def _finish_task(ray: Any, ref: Any, queued: QueuedJob, scheduler: Scheduler) -> None:
    """Pass a finished task's final event to the scheduler, once its record is visible here."""
    try:
        event = ray.get(ref)
    except ray.exceptions.RayError as error:
        scheduler.worker_died(queued, death_reason(error))
        return
    deadline = time.monotonic() + RECORD_TIMEOUT
    while event.kind == "done" and not run_dir.is_done(queued.job.folder, queued.job.run):
        if time.monotonic() > deadline:
            reason = f"no record appeared in {queued.job.folder}; --out must be on a disk that all machines share"
            event = JobEvent("failed", reason, user_error=True)
        time.sleep(0.1)
    scheduler.handle(queued, event)


def death_reason(error: Exception) -> str:
    """How the worker of a task ended, for messages. error: The `RayError` in place of the task's result."""
    kind = type(error).__name__
    message = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return "died" if kind == "WorkerCrashedError" else f"is gone ({kind}: {message[:200]})"


def _read_events(events: Any) -> Iterator[tuple[Path, JobEvent]]:
    """Events received since the last call; none while Ray restarts the process of the queue."""
    from ray.exceptions import RayError
    from ray.util.queue import Empty

    with suppress(RayError, Empty):
        if count := events.qsize():
            yield from events.get_nowait_batch(count)


def _check_address(address: str) -> bool:
    """Whether the address is HOST:PORT. Raises `OSError` if nothing listens there: Ray would exit the process."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()) or "/" in address:
        return False
    socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    return True


def import_ray() -> Any:
    """The module `ray`. Raises `UserError` with the command that installs it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise UserError('--runner ray needs the package ray: pip install "cliptune[ray]"') from None
    return ray


@contextmanager
def connect(settings: Ray) -> Iterator[Any]:
    """Yield the module `ray`, connected to a cluster. Raises `UserError` if it is not installed or not reachable."""
    ray = import_ray()
    if ray.is_initialized():  # by the calling program, which also disconnects
        yield ray
        return
    _init_ray(ray, settings)
    try:
        yield ray
    finally:
        ray.shutdown()


def _init_ray(ray: Any, settings: Ray) -> None:
    forwarded = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED_VARIABLES)}
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": forwarded},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if settings.address == "local":
        options["include_dashboard"] = False
        if cores := settings.workers * settings.cpus_per_task:
            options["num_cpus"] = max(1, round(cores))
    advice = "start one with: ray start --head, or use --address local"
    try:
        if _check_address(settings.address):  # a cluster with tokens closes the connection unless Ray sends one
            advice = f"it must run Ray {ray.__version__}; if it requires a token, set RAY_AUTH_MODE=token"
        ray.init(address=settings.address, **options)
    except Exception as error:  # Ray raises this base class when its own processes are slow to start
        message = next(iter(str(error).splitlines()), "").rstrip(".")
        if settings.address == "local":
            raise UserError(f"Ray did not start here ({message}); try again, or leave out --runner ray") from None
        raise UserError(f"no Ray cluster at {settings.address!r} ({message}); {advice}") from None
