"""The watcher that reports to loggers, and keeps their errors from ending a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.engine.watchers import Watcher
from cliptune.loggers.common.logger import Logger, RunStart, wants_pictures
from cliptune.loggers.common.pictures import training_pictures
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Result, Task
from cliptune.user_warnings import warn_user


class LogWatcher(Watcher):
    """Reports to loggers from when training begins. A logger that raises is left out from then on, with a warning."""

    main_process_only = True

    def __init__(self, loggers: Sequence[Logger]):
        self._loggers, self._run, self._started, self._before = list(loggers), RunStart("", {}, None), False, 0

    def run_started(self, name: str, config: Mapping[str, Any], folder: Path | None) -> None:
        for logger in self._loggers:
            logger.check(folder)
        self._run, self._started, self._before = RunStart(name, config, folder), False, 0

    def begin_stage(self, epochs_before: int) -> None:
        self._before = epochs_before

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self._start(self._before + first)

    def epoch(self, row: Mapping[str, float]) -> None:
        values = {name: float(value) for name, value in row.items() if name != "epoch"}
        epoch = self._before + int(row["epoch"])
        self._tell(lambda logger: logger.scalars(values, epoch))

    def trained(self, model: TunedModel, task: Task) -> None:
        self._start(0)
        if not any(map(wants_pictures, self._loggers)):
            return
        try:
            pictures = training_pictures(model, task)
        except Exception as error:  # masks and saliency of any method on any backbone
            warn_user(f"no pictures of training images are logged: {_reason(error)}")
            return
        self._tell(lambda logger: logger.pictures(pictures))

    def run_finished(self, result: Result | None, folder: Path | None) -> None:
        if self._started:
            self._tell(lambda logger: logger.finish(result, folder))

    def _start(self, first: int) -> None:
        if not self._started:
            self._started = True
            run = RunStart(self._run.name, self._run.config, self._run.folder, first)
            self._tell(lambda logger: logger.start(run))

    def _tell(self, call: Callable[[Logger], None]) -> None:
        for logger in list(self._loggers):
            try:
                call(logger)
            except Exception as error:  # of services and the user's own code
                self._loggers.remove(logger)
                warn_user(f"{type(logger).__name__} stopped logging ({_reason(error)}); the run continues without it")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
