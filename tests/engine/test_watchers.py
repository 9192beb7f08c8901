"""Watchers: a progress bar that counts steps, scalars for TensorBoard."""

import io

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cliptune.engine.watchers import ProgressBar, TensorBoard, Watcher, progress_display

ROWS = [{"epoch": e, "lr": 0.1 / (e + 1), "loss": 2.0 - e, "ce": 1.5 - e} for e in range(3)]


def drive(watcher, first=0):
    watcher.begin(3, 2, first)
    for row in ROWS[first:]:
        for _ in range(2):
            watcher.step(row["epoch"], {"ce": 1.0})
        watcher.epoch(row)


def test_every_callback_is_optional():
    watcher = Watcher()
    drive(watcher)
    watcher.end()


def test_a_resumed_bar_starts_where_it_was():
    for first in (0, 2):
        progress = progress_display(Console(file=io.StringIO()))
        watcher = ProgressBar(progress, "coop")
        drive(watcher, first)
        (task,) = progress.tasks
        assert task.total == task.completed == 6 and task.description == "coop  loss 0.000"
        watcher.end()
        assert not progress.tasks


def test_no_bar_without_a_terminal():
    stream = io.StringIO()
    with progress_display(Console(file=stream)) as progress:
        watcher = ProgressBar(progress, "coop")
        drive(watcher)
        watcher.end()
    assert stream.getvalue() == ""


def test_tensorboard_gets_each_epochs_scalars(tmp_path):
    watcher = TensorBoard(tmp_path / "tb")
    assert list(tmp_path.iterdir()) == [], "nothing is written before training begins"
    drive(watcher)
    watcher.end()
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert set(events.Tags()["scalars"]) == {"lr", "loss", "ce"}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 2.0), (1, 1.0), (2, 0.0)]
