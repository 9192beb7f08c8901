"""Observers of a run. None of them changes a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class Watcher:
    """Callbacks of a run, which do nothing by default."""

    def begin(self, epochs: int, steps: int, first: int) -> None:
        """Before the first step. epochs: total number. steps: per epoch. first: the epoch that training starts at."""

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        """After each step, with its losses."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """After each epoch, with its row of the history: epoch, lr, mean losses, and val if measured."""

    def end(self) -> None:
        """After the last step, or after an error."""

    def progress(self, what: str, done: int, total: int) -> None:
        """During work other than training, such as "testing": `done` of `total` items are finished."""


class TensorBoard(Watcher):
    """Scalars of each epoch under `folder`, for `tensorboard --logdir`."""

    def __init__(self, folder: Path):
        self.folder = folder

    def begin(self, epochs: int, steps: int, first: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(self.folder))

    def epoch(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, int(row["epoch"]))

    def end(self) -> None:
        self.writer.close()


def progress_callback(watchers: Sequence[Watcher], what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that reports the progress of work such as "testing" to all watchers."""

    def report(done: int, total: int) -> None:
        for watcher in watchers:
            watcher.progress(what, done, total)

    return report
