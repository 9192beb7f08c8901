"""The search: the trials that are missing, until there are enough; what it found."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from cliptune.data.dataset import Dataset
from cliptune.dir_lock import lock_dir
from cliptune.engine.feature_store import share_features
from cliptune.errors import UserError
from cliptune.runners.local import Local
from cliptune.runners.ray import Ray
from cliptune.runners.runner import Runner
from cliptune.sweep import SHARED_FOLDER
from cliptune.tuning.executor import Executor, Search
from cliptune.tuning.local_executor import LocalExecutor
from cliptune.tuning.outputs import write_results
from cliptune.tuning.ray_executor import RayExecutor
from cliptune.tuning.result import TuneResult
from cliptune.tuning.rows import TrialRow, trial_rows
from cliptune.tuning.space import setting
from cliptune.tuning.study import STUDY, SharedStudy, quiet_optuna
from cliptune.tuning.trial import Validation, validation_of
from cliptune.user_warnings import warn_user

__all__ = ["Search", "run_search"]

#: With fewer validation images than this, a warning says what that means.
FEW_IMAGES = 50


def run_search(
    search: Search,
    runner: Runner | None = None,
    dataset: Dataset | None = None,
    say: Callable[[str], Any] = lambda line: None,
) -> TuneResult:
    """Execute the trials that are missing, and write `best.yaml`, `trials.csv` and `report.html` to the folder.

    The first trial is that of the starting settings. An interrupted search goes on where it was: trials of processes
    that died are repeated.

    runner: Where trials are executed, by default one after the other in this process. dataset: The data, if it is open
    already; only for trials in this process. say: Receives a line per finished trial. Raises `UserError` if the
    settings of the first trial cannot be trained, or if the folder is in use.
    """
    shared, before = (search.out / SHARED_FOLDER).absolute(), search.out.exists()
    with quiet_optuna(), lock_dir(search.out), share_features(shared), closing(_executor(search, runner)) as executor:
        try:
            if there := (search.out / STUDY).is_file():
                search.open_study().recover()
            validation = validation_of(search.run, dataset, search.scored_on, search.folds)
            _warn_of_few_images(validation)
            first = None if there and search.open_study().trials() else executor.first(validation)
        except UserError:
            if not before:
                shutil.rmtree(shared, ignore_errors=True)
            raise
        study = search.open_study()
        study.require_same("images", validation.digest)
        announcer = _Announcer(study, search, say)
        if first is not None:
            start = {one.name: setting(search.run, one.name) for one in search.space}
            study.add_default(start, first.accuracy, first.course, first.seconds)
        executor.rest(study, validation, announcer)
        rows, importance = trial_rows(study, search.run), study.importance()
    return write_results(search.run, search.space, rows, importance, validation, search.out)


def _executor(search: Search, runner: Runner | None) -> Executor:
    """What executes the trials of a search with a runner."""
    if isinstance(runner, Ray):
        return RayExecutor(search, runner)
    return LocalExecutor(search, runner.workers if isinstance(runner, Local) else 1)


def _warn_of_few_images(validation: Validation) -> None:
    if (images := validation.images) < FEW_IMAGES:
        warn_user(
            f"{images} images are few to score trials on: each is {100 / images:.1f} points of accuracy, so the best "
            f"trial may be the best by chance; more images or shots help"
        )


class _Announcer:
    """Reports each finished trial once, by its number in the files."""

    def __init__(self, study: SharedStudy, search: Search, say: Callable[[str], Any]):
        self.study, self.search, self.say = study, search, say
        self.said: set[int] = {row.number for row in self._finished()}

    def __call__(self) -> None:
        for row in self._finished():
            if row.number not in self.said:
                self.said.add(row.number)
                self.say(f"trial {row.number} ({len(self.said)} of {self.search.trials}): {row}")

    def _finished(self) -> Sequence[TrialRow]:
        return [row for row in trial_rows(self.study, self.search.run) if row.state != "running"]
