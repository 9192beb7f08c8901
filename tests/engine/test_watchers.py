"""Watchers."""

from cliptune.engine.watchers import Watcher

ROWS = [{"epoch": e, "lr": 0.1 / (e + 1), "loss": 2.0 - e, "ce": 1.5 - e} for e in range(3)]


def drive(watcher, first=0):
    watcher.begin(3, 2, first)
    for row in ROWS[first:]:
        for _ in range(2):
            watcher.step(row["epoch"], {"ce": 1.0})
        watcher.epoch(row)


def test_every_callback_is_optional():
    class Counts(Watcher):
        epochs = 0

        def epoch(self, row):
            self.epochs += 1

    watcher = Counts()
    drive(watcher)
    watcher.end()
    assert watcher.epochs == len(ROWS), "the others do nothing"
