"""Watchers: scalars for TensorBoard."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cliptune.engine.watchers import TensorBoard, Watcher

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


def test_tensorboard_gets_each_epochs_scalars(tmp_path):
    watcher = TensorBoard(tmp_path / "tb")
    assert list(tmp_path.iterdir()) == [], "nothing is written before training begins"
    drive(watcher)
    watcher.end()
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert set(events.Tags()["scalars"]) == {"lr", "loss", "ce"}
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 2.0), (1, 1.0), (2, 0.0)]
