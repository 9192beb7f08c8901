"""The interface of runners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the worker needs PyTorch, which --help does not load
    from cliptune.runners.scheduler import Scheduler
    from cliptune.runners.worker import Worker


class Runner(ABC):
    """Executes the jobs of a sweep. A subclass is a frozen dataclass of its settings."""

    @abstractmethod
    def run(self, scheduler: Scheduler, worker: Worker) -> None:
        """Execute jobs until the scheduler has none left, and report every event to it.

        worker: executes jobs in this process. Raises `UserError` if no job can be executed at all.
        """
