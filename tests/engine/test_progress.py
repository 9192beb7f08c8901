"""Progress: bars in terminals and notebooks, lines now and then in logs."""

import io
import sys

import pytest
from rich.console import Console

from cliptune.engine import progress
from cliptune.engine.progress import NotebookBars, ProgressBar, draws_bars, progress_display

ROWS = [{"epoch": e, "lr": 0.1 / (e + 1), "loss": 2.0 - e, "ce": 1.5 - e} for e in range(3)]


def drive(watcher, first=0):
    watcher.progress("reading images", 1, 1)
    watcher.begin(3, 2, first)
    for row in ROWS[first:]:
        for _ in range(2):
            watcher.step(row["epoch"], {"ce": 1.0})
        watcher.epoch(row)


def test_a_resumed_bar_starts_where_it_was():
    for first in (0, 2):
        display = progress_display(Console(file=io.StringIO()))
        watcher = ProgressBar(display, "coop")
        drive(watcher, first)
        (task,) = display.tasks
        assert task.total == task.completed == 6 and task.description == "coop  loss 0.000"
        watcher.end()
        assert not display.tasks


def test_a_short_run_writes_nothing_to_a_log():
    stream = io.StringIO()
    with progress_display(Console(file=stream)) as display:
        watcher = ProgressBar(display, "coop")
        drive(watcher)
        watcher.end()
    assert stream.getvalue() == ""


def test_a_log_gets_a_line_now_and_then(monkeypatch):
    clock = iter(range(0, 10_000, 11))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    display = progress_display(Console(file=stream))
    monkeypatch.setattr(display, "get_time", lambda: 0.0)
    watcher = ProgressBar(display, "coop [bold]")
    drive(watcher)
    watcher.end()
    lines = stream.getvalue().splitlines()
    assert 1 <= len(lines) < 6 and lines[-1].startswith("coop [bold]  loss ") and lines[-1].endswith(" of 6")
    assert stream.getvalue().isprintable() or set(stream.getvalue()) - set(map(chr, range(32, 127))) == {"\n"}


def test_the_library_is_as_quiet(capsys):
    watcher = ProgressBar()
    drive(watcher)
    watcher.end()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar(monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    display = progress_display(Console(file=stream, force_terminal=True))
    with display:
        drive(ProgressBar(display, "coop"))
    assert "coop" in stream.getvalue() and "\x1b" in stream.getvalue()


def test_a_command_in_a_cell_draws_no_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-color")
    terminal = Console(file=io.StringIO(), force_terminal=True)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert draws_bars(terminal)
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not draws_bars(terminal)


@pytest.fixture
def cells():
    """Cells of a notebook as lists of what was drawn in place, the last of which is visible."""
    shown = []

    def show(content):
        place = [content]
        shown.append(place)
        return place.append

    return shown, show


def test_a_notebook_has_one_place_below_the_cell(cells, monkeypatch):
    monkeypatch.setattr(progress, "UPDATE_SECONDS", 0.0)
    shown, show = cells
    watcher = ProgressBar(title="<coop>")
    watcher.display = NotebookBars(show)
    drive(watcher)
    (place,) = shown
    assert '<progress value="6" max="6"' in place[-1] and "&lt;coop&gt;  loss 0.000 6 of 6" in place[-1]
    watcher.end()
    assert "progress value" not in place[-1] and place[-1].count("<br>") == 1, "both stages as lines"
    assert "reading images 1 of 1, " in place[-1]


def test_another_cell_gets_its_own_place(cells, monkeypatch):
    shown, show = cells
    numbers = iter((1, 1, *[2] * 20))
    monkeypatch.setattr(progress, "current_cell", lambda: next(numbers))
    watcher = ProgressBar()
    watcher.display = NotebookBars(show)
    watcher.progress("one", 1, 2)
    watcher.progress("one", 2, 2)
    watcher.progress("two", 1, 1)
    assert len(shown) == 2


def test_a_kernel_is_recognised(monkeypatch):
    assert progress.current_cell() is None

    class Shell:
        kernel, execution_count = object(), 7

    class Terminal:
        execution_count = 7

    for shell, number in ((Shell(), 7), (Terminal(), None), (None, None)):
        monkeypatch.setitem(
            sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda s=shell: s)})
        )
        assert progress.current_cell() == number
    monkeypatch.setitem(sys.modules, "IPython", type("IPython", (), {"get_ipython": staticmethod(lambda: Shell())}))
    assert isinstance(progress.own_display(), NotebookBars)
