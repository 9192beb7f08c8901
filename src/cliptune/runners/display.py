"""Progress of a sweep: bars for the sweep and its running jobs in a terminal, elsewhere one line per finished job."""

from __future__ import annotations

import time
from collections.abc import Hashable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from cliptune.engine.progress import draws_bars


class SweepDisplay:
    """Shows `done` of `total` jobs and the running ones, each identified by a `key` of the caller's."""

    def __init__(self, console: Console, total: int, done: int):
        self.total, self.done = total, done
        self._last_once = ""
        self._tasks: dict[Hashable, tuple[TaskID, str]] = {}
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
            disable=not draws_bars(console),
        )
        self._sweep = self.progress.add_task("runs", total=total, completed=done, left="")

    def __enter__(self) -> SweepDisplay:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def start(self, key: Hashable, title: str) -> None:
        """Add a running job."""
        self._tasks[key] = self.progress.add_task(title, total=None, left=""), title

    def update(self, key: Hashable, text: str, done: int, total: int, seconds_left: float | None) -> None:
        """Show the progress of a running job, and the time left for the sweep."""
        task, title = self._tasks[key]
        description = "  ".join(filter(None, (title, text)))
        self.progress.update(task, description=description, completed=done, total=total)
        self._show_time_left(seconds_left)

    def stop(self, key: Hashable) -> None:
        """Remove a job that no longer runs."""
        self.progress.remove_task(self._tasks.pop(key)[0])

    def finish(self, text: str, seconds_left: float | None) -> None:
        """Count a job as finished; outside of a terminal, print a line for it."""
        self.done += 1
        self.progress.update(self._sweep, completed=self.done)
        self._show_time_left(seconds_left)
        if self.progress.disable:
            left = "" if seconds_left is None or self.done >= self.total else f"; {format_duration(seconds_left)} left"
            self.print(f"{self.done} of {self.total}: {text}{left}")

    def print(self, text: str) -> None:
        """Print a line above the bars."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def print_once(self, text: str) -> None:
        """Print a line unless it repeats the last one printed by this method."""
        if text != self._last_once:
            self.print(text)
        self._last_once = text

    def _show_time_left(self, seconds: float | None) -> None:
        if seconds is not None:
            end = time.strftime("%H:%M", time.localtime(time.time() + seconds))
            self.progress.update(self._sweep, left=f"{format_duration(seconds)} left, until {end}")


def format_duration(seconds: float) -> str:
    """A rough duration, such as "about 5 min"."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {name}"
    return f"about {seconds:.0f} s"
