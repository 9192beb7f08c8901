"""A sweep in the terminal: a bar for all of it, a line for each run at work. Elsewhere, a line for each run done."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


class SweepDisplay:
    """Shows `done` of `total` runs and those at work, which go by any object of the caller's."""

    def __init__(self, console: Console, total: int, done: int):
        self.total, self.done, self._said = total, done, ""
        self._lines: dict[int, TaskID] = {}
        self._titles: dict[int, str] = {}
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self.progress.add_task("runs", total=total, completed=done, left="")

    def __enter__(self) -> SweepDisplay:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def began(self, key: Any, title: str) -> None:
        """A run has begun."""
        self._titles[id(key)] = title
        self._lines[id(key)] = self.progress.add_task(title, total=None, left="")

    def at(self, key: Any, text: str, done: int, total: int, left: float | None) -> None:
        """Where a run is, and the seconds left of all."""
        said = "  ".join(filter(None, (self._titles[id(key)], text)))
        self.progress.update(self._lines[id(key)], description=said, completed=done, total=total)
        self._until(left)

    def stopped(self, key: Any) -> None:
        """A run is no longer at work."""
        self.progress.remove_task(self._lines.pop(id(key)))

    def ended(self, what: str, left: float | None) -> None:
        """One run less to do."""
        self.done += 1
        self.progress.update(self._all, completed=self.done)
        self._until(left)
        if self.progress.disable:
            rest = f"; {format_duration(left)} left" if left is not None and self.done < self.total else ""
            self.say(f"{self.done} of {self.total}: {what}{rest}")

    def say(self, text: str) -> None:
        """A line that stays."""
        self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def once(self, text: str) -> None:
        """The same, unless it was the last to be said so."""
        if text != self._said:
            self.say(text)
        self._said = text

    def _until(self, left: float | None) -> None:
        if left is not None:
            end = time.strftime("%H:%M", time.localtime(time.time() + left))
            self.progress.update(self._all, left=f"{format_duration(left)} left, until {end}")


def format_duration(seconds: float) -> str:
    """About how long that is."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {name}"
    return f"about {seconds:.0f} s"
