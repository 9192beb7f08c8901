"""A run of a sweep, and the status messages of the worker that executes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cliptune.config import RunConfig


@dataclass(frozen=True)
class Job:
    """One run of a sweep: the label of its table row, its configuration and its run directory."""

    label: str
    run: RunConfig
    folder: Path

    @property
    def told(self) -> tuple[str, ...]:
        """Label, data, number of training images and seed, which together identify the job."""
        run = self.run
        size = f"{run.shots} shot{'s' * (run.shots != 1)}" if run.shots > 0 else "all pictures"
        if run.fraction < 1:
            size += f", {run.fraction:g} by {run.selector}"
        return self.label, run.data, size, f"seed {run.seed}"

    @property
    def title(self) -> str:
        """The name that progress messages show."""
        return ", ".join(self.told)


@dataclass(frozen=True)
class JobEvent:
    """A status message from a worker about its current job.

    kind: "at" for progress (`text`, `done` of `total`), "note" for a warning, and a final "done", "busy" (another
    sweep holds the run directory) or "failed" (`text` is the reason; `total` is 1 if the user's settings caused it).
    """

    kind: str
    text: str = ""
    done: int = 0
    total: int = 0
