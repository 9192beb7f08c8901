"""Observers of a run. None of them changes a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel
    from cliptune.types import Result, Task


class Watcher:
    """Callbacks of a run, which do nothing by default."""

    #: Of a run on several devices, whether only the first process has this watcher.
    main_process_only = False

    def run_started(self, name: str, config: Mapping[str, Any], folder: Path | None) -> None:
        """Before anything else. name: the method, or the run's label in tables, and the seed. config: as plain values.
        folder: the run directory. A `UserError` stops the run."""

    def begin_stage(self, epochs_before: int) -> None:
        """Before each stage of the training, which may be a single one: the number of epochs in earlier stages."""

    def begin(self, epochs: int, steps: int, first: int) -> None:
        """Before the first step. epochs: total number. steps: per epoch. first: the epoch that training starts at."""

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        """After each step, with its losses."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """After each epoch, with its row of the history: epoch, lr, mean losses, and val if measured."""

    def end(self) -> None:
        """After the last step, or after an error."""

    def trained(self, model: TunedModel, task: Task) -> None:
        """After the training: the model in evaluation mode, and its task."""

    def run_finished(self, result: Result | None, folder: Path | None) -> None:
        """After the run was tested and its files were written; result is None after an error."""

    def progress(self, what: str, done: int, total: int) -> None:
        """During work other than training, such as "testing": `done` of `total` items are finished."""


def progress_callback(watchers: Sequence[Watcher], what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that reports the progress of work such as "testing" to all watchers."""

    def report(done: int, total: int) -> None:
        for watcher in watchers:
            watcher.progress(what, done, total)

    return report
