"""Train with `ct.train` in a new process; print the seconds of each stage as JSON: job_stages.py METHOD KEYWORDS"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

START = time.perf_counter(), time.process_time()

import cliptune as ct  # noqa: E402
from cliptune.engine.watchers import Watcher  # noqa: E402


class Stages(Watcher):
    """Wall-clock and CPU seconds by stage: what passes until an event is added to the stage that it ends."""

    def __init__(self) -> None:
        self.last = START
        self.wall, self.cpu = dict[str, float](), dict[str, float]()
        self.epochs = 0

    def mark(self, stage: str) -> None:
        now = time.perf_counter(), time.process_time()
        for seconds, end, start in zip((self.wall, self.cpu), now, self.last, strict=True):
            seconds[stage] = seconds.get(stage, 0.0) + end - start
        self.last = now

    def run_started(self, name: str, config: Mapping[str, Any], folder: Path | None) -> None:
        self.mark("imports and settings")

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.mark("reading")

    def epoch(self, row: Mapping[str, float]) -> None:
        self.mark("later epochs" if self.epochs else "first epoch")
        self.epochs += 1

    def progress(self, what: str, done: int, total: int) -> None:
        if what == "testing":
            self.mark("evaluation")

    def run_finished(self, result: Any, folder: Path | None) -> None:
        self.mark("writing")


if __name__ == "__main__":
    stages = Stages()
    ct.train(sys.argv[1], watchers=[stages], **json.loads(sys.argv[2]))
    print(json.dumps({"wall": stages.wall, "cpu": stages.cpu}))
