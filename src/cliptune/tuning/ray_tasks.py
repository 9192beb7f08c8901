"""What runs on a Ray cluster: trials as tasks, and the actor through which they report accuracies."""

from __future__ import annotations

import asyncio
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric import Fabric

from cliptune import experiment, inputs
from cliptune.backbones.load import cached_backbone
from cliptune.engine.feature_store import share_features
from cliptune.errors import UserError
from cliptune.sweep import SHARED_FOLDER
from cliptune.tuning.executor import Search
from cliptune.tuning.study import Outcome
from cliptune.tuning.trial import TrialResult, Validation, attempt_trial, run_trial, validation_of

T = TypeVar("T")


class Exchange:
    """An actor between trials and the main process: accuracies in one direction, decisions to prune in the other."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[tuple[int, int, float] | None] = asyncio.Queue()
        self.decisions: dict[tuple[int, int], asyncio.Future[bool]] = {}

    async def report(self, number: int, step: int, accuracy: float) -> bool:
        """Called by a trial after a measurement: wait for the decision whether to prune the trial."""
        self.reports.put_nowait((number, step, accuracy))
        return await self._decision(number, step)

    async def next_reports(self) -> list[tuple[int, int, float]]:
        """Called by the main process: wait until there are reports, or until `stop`, and return them."""
        found = [await self.reports.get()]
        while not self.reports.empty():
            found.append(self.reports.get_nowait())
        return [report for report in found if report is not None]

    async def stop(self) -> None:
        """Called by the main process at the end, so that no call waits when the actor is removed."""
        self.reports.put_nowait(None)

    async def decide(self, number: int, step: int, prune: bool) -> None:
        """Called by the main process: answer a report."""
        if not (decision := self._decision(number, step)).done():
            decision.set_result(prune)

    def _decision(self, number: int, step: int) -> asyncio.Future[bool]:
        """The decision about a report. If Ray has restarted the actor, it may come before the report, which is sent
        again."""
        return self.decisions.setdefault((number, step), asyncio.get_running_loop().create_future())


@dataclass(frozen=True)
class Assignment:
    """What a task needs to know: the search, with absolute paths; the working directory of the main process; and the
    digests of the images and files that the main process found, by name."""

    search: Search
    working_directory: str
    digests: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, search: Search, validation: Validation) -> Assignment:
        """What the tasks of a search need to know. validation: The images that the main process found."""
        return cls(search, os.getcwd(), tuple(sorted(_digests(search, validation).items())))


def first_task(assignment: Assignment) -> tuple[TrialResult, list[str]] | UserError:
    """Body of the Ray task of the first trial: its result and the messages of its warnings; or what is wrong."""
    with warnings.catch_warnings(record=True) as caught:
        result = _execute(assignment, lambda *here: run_trial(assignment.search.run, *here))
    messages = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    return result if isinstance(result, UserError) else (result, messages)


def trial_task(assignment: Assignment, number: int, settings: Mapping[str, Any], exchange: Any) -> Outcome | UserError:
    """Body of the Ray task of a trial: how it ended; or why this machine cannot execute trials."""
    import ray
    from ray.exceptions import RayError

    def should_prune(step: int, accuracy: float) -> bool:
        try:
            return ray.get(exchange.report.remote(number, step, accuracy))
        except RayError:  # the trial is complete all the same
            return False

    def attempt(validation: Validation, fabric: Fabric) -> Outcome:
        return attempt_trial(assignment.search.run, settings, validation, fabric, should_prune)

    return _execute(assignment, attempt)


def _execute(assignment: Assignment, function: Callable[[Validation, Fabric], T]) -> T | UserError:
    """Call a function with the data and the device of this machine, or return why these cannot be used."""
    with suppress(OSError):
        os.chdir(assignment.working_directory)  # relative paths of data refer to it
    out: Path = assignment.search.out
    with share_features(out / SHARED_FOLDER if out.is_dir() else None):  # the folder may not be on a shared disk
        try:
            return function(*_prepare(assignment))
        except UserError as error:
            return error


@lru_cache(maxsize=1)
def _prepare(assignment: Assignment) -> tuple[Validation, Fabric]:
    """The data and the device of this machine, which the tasks of a process share.

    Raises `UserError` if they cannot be used, or if images or files are not those that the main process found.
    """
    search, run = assignment.search, assignment.search.run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the main process has shown them
        validation = validation_of(run, None, search.scored_on, search.folds)
        cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    here = _digests(search, validation)
    if different := [name for name, digest in assignment.digests if here.get(name) != digest]:
        raise UserError(
            f"{platform.node()} finds other content for {different[0]}; all machines of the Ray cluster must find the "
            f"same files under the same paths"
        )
    return validation, experiment.launch_fabric(run.device, run.devices, run.precision)


def _digests(search: Search, validation: Validation) -> dict[str, str]:
    """Digests of the images and the files that a search reads, by name."""
    run = search.run
    files = {**inputs.file_digests(run), **inputs.example_digests(run, validation.task)}
    return {**files, run.data: validation.digest}
