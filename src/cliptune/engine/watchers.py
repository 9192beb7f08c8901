"""Observers of a run: progress bar, TensorBoard. None of them changes a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


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


class ProgressBar(Watcher):
    """A bar in the terminal, with the loss of the last epoch."""

    def __init__(self, display: Progress, title: str):
        self.display, self.title = display, title
        self.task: TaskID | None = None

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self._show(self.title, first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        if self.task is not None:
            self.display.advance(self.task)

    def epoch(self, row: Mapping[str, float]) -> None:
        if self.task is not None:
            self.display.update(self.task, description=f"{self.title}  loss {row['loss']:.3f}")

    def end(self) -> None:
        if self.task is not None:
            self.display.remove_task(self.task)
        self.task = None

    def progress(self, what: str, done: int, total: int) -> None:
        self._show(f"{self.title}  {what}", done, total)
        if done == total:
            self.end()

    def _show(self, text: str, done: int, total: int) -> None:
        if self.task is None:
            self.task = self.display.add_task(text)
        self.display.update(self.task, description=text, completed=done, total=total)


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


def progress_display(console: Console) -> Progress:
    """The progress display of all commands, on a console; invisible if that is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def progress_callback(watchers: Sequence[Watcher], what: str) -> Callable[[int, int], None]:
    """A function of (done, total) that reports the progress of work such as "testing" to all watchers."""

    def report(done: int, total: int) -> None:
        for watcher in watchers:
            watcher.progress(what, done, total)

    return report
