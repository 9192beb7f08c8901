"""What only observes training: progress, logs. Nothing here changes a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Watcher:
    """The moments of a run; a leaf overrides what it cares for."""

    def begin(self, epochs: int, steps: int, first: int) -> None:
        """Before the first step: epochs in all, steps an epoch, and the epoch the run (re)starts at."""

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        """After a step, with its losses."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """After an epoch: its number, rate, mean losses and, where measured, validation accuracy."""

    def end(self) -> None:
        """After the last step, or after an error."""

    def other(self, what: str, done: int, total: int) -> None:
        """Work besides training that takes its time: reading pictures, testing."""


class ProgressBar(Watcher):
    """A bar in the terminal, with the loss of the last epoch."""

    def __init__(self, progress: Progress, title: str):
        self.progress, self.title = progress, title
        self.task: TaskID | None = None

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self._show(self.title, first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        if self.task is not None:
            self.progress.advance(self.task)

    def epoch(self, row: Mapping[str, float]) -> None:
        if self.task is not None:
            self.progress.update(self.task, description=f"{self.title}  loss {row['loss']:.3f}")

    def end(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = None

    def other(self, what: str, done: int, total: int) -> None:
        self._show(f"{self.title}  {what}", done, total)
        if done == total:
            self.end()

    def _show(self, text: str, done: int, total: int) -> None:
        if self.task is None:
            self.task = self.progress.add_task(text)
        self.progress.update(self.task, description=text, completed=done, total=total)


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
    """The progress display every command shares, on its console; silent where that is no terminal."""
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
    """What tells watchers how much is done of work besides training."""

    def tell(done: int, total: int) -> None:
        for watcher in watchers:
            watcher.other(what, done, total)

    return tell
