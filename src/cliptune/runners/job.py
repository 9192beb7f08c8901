"""A run of a sweep and the status messages that a worker sends about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cliptune.config import RunConfig


@dataclass(frozen=True)
class Job:
    """One run of a sweep: its label (the row in tables), configuration and run directory.

    settings: What tells it apart from other runs of the label, such as "lr=0.01". loggers: Names of loggers.
    """

    label: str
    run: RunConfig
    folder: Path
    settings: str = ""
    loggers: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Label with the settings, data, training set size and seed."""
        run = self.run
        size = f"{run.shots} shot{'s' * (run.shots != 1)}" if run.shots > 0 else "all images"
        size = "all images without labels" if run.method.pool else size
        if run.fraction < 1:
            size += f", {run.fraction:g} by {run.selector}"
        label = f"{self.label} ({self.settings})" if self.settings else self.label
        return label, run.data, size, f"seed {run.seed}"

    @property
    def title(self) -> str:
        """Name shown while the job runs."""
        return ", ".join(self.columns)


@dataclass(frozen=True)
class JobEvent:
    """A status message from a worker.

    kind: "progress" (`text`, step `done` of `total`), "warning" (`text`), or a final "done", "locked" (another process
    has locked the run directory) or "failed" (`text` is the reason). user_error: whether the user's settings caused the
    failure.
    """

    kind: Literal["progress", "warning", "done", "locked", "failed"]
    text: str = ""
    done: int = 0
    total: int = 0
    user_error: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the worker is finished with the job."""
        return self.kind not in ("progress", "warning")
