"""Progress bars: in a terminal, in a notebook, and as lines where neither is."""

from __future__ import annotations

import html
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cliptune.engine.watchers import Watcher

#: Seconds between two lines where there is no bar, and between two updates of a bar in a notebook.
LINE_SECONDS, UPDATE_SECONDS = 30.0, 0.25
#: Number of finished bars of which a notebook keeps a line.
FINISHED_LINES = 3


class ProgressBar(Watcher):
    """Shows the progress of `train`, `auto`, `evaluate` and other functions with `watchers`.

    A bar with the loss of the last epoch, in a terminal or below the cell of a notebook. Elsewhere, such as in a log, a
    line every 30 seconds.

    Args:
        display: Where to draw the bar, shared by several bars; by default, one of its own.
        title: What is going on.
    """

    def __init__(self, display: Progress | NotebookBars | None = None, title: str = ""):
        self.owns_display = display is None
        self.display: Any = display or own_display()
        self.title, self.loss = title, ""
        self.task: TaskID | None = None
        self.done, self.total = 0, 0
        self.next_line = time.monotonic() + LINE_SECONDS

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.loss = ""
        self._show(self.title or "training", first * steps, epochs * steps)

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        if self.task is not None:
            self._show(self._training(), self.done + 1, self.total)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.loss = f"  loss {row['loss']:.3f}"
        if self.task is not None:
            self._show(self._training(), self.done, self.total)

    def end(self) -> None:
        if self.task is not None:
            self.display.remove_task(self.task)
            if self.owns_display:
                self.display.stop()
        self.task = None

    def progress(self, what: str, done: int, total: int) -> None:
        self._show("  ".join(filter(None, (self.title, what))), done, total)
        if done == total:
            self.end()

    def _training(self) -> str:
        return (self.title or "training") + self.loss

    def _show(self, text: str, done: int, total: int) -> None:
        self.done, self.total = done, total
        if self.task is None:
            if self.owns_display:
                self.display.start()
            self.task = self.display.add_task(text)
        self.display.update(self.task, description=text, completed=done, total=total)
        if self.display.disable and time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + LINE_SECONDS
            self.display.console.print(f"{text}: {done} of {total}", markup=False, highlight=False, soft_wrap=True)


class NotebookBars:
    """Bars below the cell of a notebook, drawn with IPython alone and updated in place.

    Has those methods of `rich.progress.Progress` that `ProgressBar` calls.
    """

    disable = False

    def __init__(self, show: Callable[[str], Callable[[str], None]] | None = None):
        self.show = show or show_html
        self.bars: dict[int, dict[str, Any]] = {}
        self.draw: Callable[[str], None] | None = None
        self.cell: object = None
        self.next_update = 0.0
        self.finished: list[str] = []

    def start(self) -> None:
        """Nothing: the display appears with the first bar."""

    def stop(self) -> None:
        """Show what was finished last, as lines."""
        self._draw(f'<div style="opacity:0.7">{"<br>".join(self.finished)}</div>')

    def add_task(self, description: str) -> int:
        """Add a bar and return its number."""
        number = max(self.bars, default=0) + 1
        self.bars[number] = {"description": description, "completed": 0, "total": 0, "began": time.monotonic()}
        self.next_update = 0.0
        return number

    def update(self, number: int, **values: Any) -> None:
        """Set description, completed or total of a bar."""
        self.bars[number] |= values
        if time.monotonic() >= self.next_update:
            self.next_update = time.monotonic() + UPDATE_SECONDS
            self._draw("".join(map(_bar_html, self.bars.values())))

    def remove_task(self, number: int) -> None:
        """Remove a bar."""
        bar = self.bars.pop(number)
        line = f"{_words(bar)}, {time.monotonic() - bar['began']:.1f} s"
        self.finished = [*self.finished, line][-FINISHED_LINES:]

    def _draw(self, content: str) -> None:
        if self.draw is None or self.cell != current_cell():
            self.draw, self.cell = self.show(content), current_cell()
        else:
            self.draw(content)


def show_html(content: str) -> Callable[[str], None]:
    """Display HTML below the cell of a notebook, and return a function that replaces it."""
    from IPython.display import HTML, display  # type: ignore[reportMissingImports]

    handle: Any = display(HTML(content), display_id=True)
    return lambda new: handle.update(HTML(new))


def current_cell() -> object:
    """The number of the cell that a notebook executes; None outside of notebooks."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "execution_count", None) if hasattr(shell, "kernel") else None


def own_display() -> Progress | NotebookBars:
    """The display of a bar in Python: in a notebook, a terminal, or invisible with lines on standard error."""
    return NotebookBars() if current_cell() is not None else progress_display(Console(stderr=True))


def progress_display(console: Console) -> Progress:
    """The progress display of all commands, on a console; invisible if that is not a terminal, nor a cell of a notebook
    that executes a command (`!cliptune`), which cannot redraw a line."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not draws_bars(console),
    )


def draws_bars(console: Console) -> bool:
    """Whether a console can redraw its last lines. The kernels of Jupyter name their parent to commands."""
    return console.is_terminal and not console.is_dumb_terminal and "JPY_PARENT_PID" not in os.environ


def _bar_html(bar: Mapping[str, Any]) -> str:
    style = "width:16em;max-width:40%;vertical-align:middle;margin-right:0.8em"
    bar_ = f'<progress value="{bar["completed"]}" max="{bar["total"] or 1}" style="{style}"></progress>'
    return f"<div>{bar_}{_words(bar)}</div>"


def _words(bar: Mapping[str, Any]) -> str:
    return f"{html.escape(bar['description'])} {bar['completed']:,} of {bar['total']:,}"
