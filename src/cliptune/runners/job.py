"""What runners are given and what they tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cliptune.config import RunConfig

if TYPE_CHECKING:
    from cliptune.runners.scheduler import Scheduler
    from cliptune.runners.worker import Worker


@dataclass(frozen=True)
class Job:
    """One run of a sweep: its row in the table (`label`), its configuration, its folder."""

    label: str
    run: RunConfig
    folder: Path

    @property
    def told(self) -> tuple[str, ...]:
        """What tells it apart: label, data, size, seed."""
        run = self.run
        size = f"{run.shots} shot{'s' * (run.shots != 1)}" if run.shots > 0 else "all pictures"
        if run.fraction < 1:
            size += f", {run.fraction:g} by {run.selector}"
        return self.label, run.data, size, f"seed {run.seed}"

    @property
    def title(self) -> str:
        """What it is called while it runs."""
        return ", ".join(self.told)


@dataclass(frozen=True)
class JobEvent:
    """What a worker says of the run it is at.

    kind: "at", where it is (`text`, `done` of `total`); "note", a warning; and as the last word: "done"; "busy",
    another sweep is at it; "failed", and why (`text`), with `total` 1 where the user's settings are to blame.
    """

    kind: str
    text: str = ""
    done: int = 0
    total: int = 0


class Runner(ABC):
    """Executes runs; a leaf is a frozen dataclass of its settings."""

    @abstractmethod
    def run(self, board: Scheduler, desk: Worker) -> None:
        """Work until nothing is left on `board`, telling it all that happens.

        desk: this process's own. Raises `UserError` where no run can be executed at all.
        """
