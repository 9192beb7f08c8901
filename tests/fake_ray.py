"""A stand-in for Ray: tasks in threads, and actors with an event loop in a thread of their own."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent import futures
from types import ModuleType, SimpleNamespace
from typing import Any


class RayError(Exception):
    """The base of Ray's exceptions."""


class WorkerCrashedError(RayError):
    """The process of a task died."""


class RayTaskError(RayError):
    """A task raised an exception."""

    def __init__(self, cause: Exception):
        super().__init__(str(cause))
        self.cause = cause


class FakeRay(ModuleType):
    """A cluster with a number of CPU cores. options: Those of all that was started; cancelled: Tasks."""

    def __init__(self, cores: int):
        super().__init__("ray")
        self.cores, self.options, self.cancelled = cores, list[dict[str, Any]](), list[Any]()
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.pool = futures.ThreadPoolExecutor(8)

    def install(self, monkeypatch) -> FakeRay:
        """Put it in place of Ray."""
        scheduling = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: ("node", node, soft))
        monkeypatch.setitem(sys.modules, "ray", self)
        monkeypatch.setitem(sys.modules, "ray.exceptions", self.exceptions)
        monkeypatch.setitem(sys.modules, "ray.util", SimpleNamespace(scheduling_strategies=scheduling))
        monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", scheduling)
        return self

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.cores}

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: "here")

    def remote(self, **options: Any) -> Any:
        self.options.append(options)
        return lambda target: SimpleNamespace(remote=lambda *args: self._start(target, args))

    def _start(self, target: Any, args: tuple[Any, ...]) -> Any:
        return _Actor(target(*args)) if isinstance(target, type) else self.pool.submit(_run, target, args)

    def wait(self, refs: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        done = next(iter(futures.wait(refs, timeout, futures.FIRST_COMPLETED).done), None)
        return [ref for ref in refs if ref is done], [ref for ref in refs if ref is not done]

    def get(self, ref: Any) -> Any:
        return ref.result(60)

    def cancel(self, ref: Any, force: bool) -> None:
        self.cancelled.append(ref)


def _run(target: Any, args: tuple[Any, ...]) -> Any:
    try:
        return target(*args)
    except RayError:
        raise
    except Exception as error:
        raise RayTaskError(error) from None


class _Actor:
    def __init__(self, instance: Any):
        self._instance, self._loop = instance, asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._instance, name)
        return SimpleNamespace(remote=lambda *args: asyncio.run_coroutine_threadsafe(method(*args), self._loop))
