"""Trials on a Ray cluster. The study stays in the main process, as SQLite files must not be shared by machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any

from cliptune.errors import UserError
from cliptune.runners.ray import Ray, connect, death_reason, import_ray
from cliptune.runners.scheduler import MAX_RETRIES
from cliptune.tuning.executor import Executor, Search
from cliptune.tuning.ray_tasks import Assignment, Exchange, first_task, trial_task
from cliptune.tuning.study import Outcome, SharedStudy
from cliptune.tuning.trial import TrialResult, Validation
from cliptune.user_warnings import warn_user

#: Seconds after which the main process looks at the size of the cluster again.
LOOK_SECONDS = 1.0


class RayExecutor(Executor):
    """Execute each trial as a Ray task. It connects to the cluster when there is a trial to execute."""

    def __init__(self, search: Search, settings: Ray):
        import_ray()
        self.search, self.settings = replace(search, out=search.out.absolute()), settings
        self.deaths: Counter[str] = Counter()
        self.exit = ExitStack()

    @cached_property
    def ray(self) -> Any:
        """The module `ray`, connected to the cluster."""
        return self.exit.enter_context(connect(self.settings))

    def close(self) -> None:
        self.exit.close()

    def first(self, validation: Validation) -> TrialResult:
        assignment = Assignment.of(self.search, validation)
        while True:
            self.settings.capacity(self.ray)  # raises if no task fits on the cluster
            ref = self._remote(first_task).remote(assignment)
            try:
                done = self._result(ref, 0, "")
            except BaseException:
                self.ray.cancel(ref, force=True)
                raise
            if isinstance(done, str):
                raise UserError(f"trial 0: {done}")
            if done is not None:
                for message in done[1]:
                    warn_user(message)
                return done[0]

    def rest(self, study: SharedStudy, validation: Validation, announce: Callable[[], Any]) -> None:
        announce()
        if len(study.trials()) >= self.search.trials:
            return
        exchange, running = self._start_exchange(), dict[Any, Any]()
        assignment, reports = Assignment.of(self.search, validation), exchange.next_reports.remote()
        try:
            while self._start_trials(study, assignment, exchange, running):
                for ref in self.ray.wait([reports, *running], timeout=LOOK_SECONDS)[0]:
                    if ref == reports:
                        trials = {trial.number: trial for trial in running.values()}
                        for number, step, accuracy in self.ray.get(ref):
                            prune = number in trials and study.report(trials[number], step, accuracy)
                            exchange.decide.remote(number, step, prune)
                        reports = exchange.next_reports.remote()
                    else:
                        self._finish(study, running.pop(ref), ref)
                        announce()
        finally:
            for ref in running:
                self.ray.cancel(ref, force=True)
            exchange.stop.remote()
            self.ray.wait([reports], timeout=LOOK_SECONDS)

    def _start_exchange(self) -> Any:
        """Start the actor on the machine of the main process, which is there as long as it is needed."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self.ray.get_runtime_context().get_node_id(), soft=True)
        options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
        return self.ray.remote(**options)(Exchange).remote()

    def _start_trials(self, study: SharedStudy, assignment: Assignment, exchange: Any, running: dict[Any, Any]) -> bool:
        """Start as many trials as the cluster has room for; return whether any are running."""
        while len(running) < self.settings.capacity(self.ray) and (asked := study.ask(self.search.trials)):
            trial, settings = asked
            running[self._remote(trial_task).remote(assignment, trial.number, settings, exchange)] = trial
        return bool(running)

    def _finish(self, study: SharedStudy, trial: Any, ref: Any) -> None:
        """Record how a trial ended; queue it again if its worker died."""
        done = self._result(ref, trial.number, str(sorted(trial.params.items())))
        if done is None:
            study.repeat(trial)
        else:
            study.tell(trial, Outcome("failed", 0.0, reason=done) if isinstance(done, str) else done)

    def _remote(self, body: Callable[..., Any]) -> Any:
        """A function as a Ray task with the cores and GPUs of a trial."""
        cores, gpus = self.settings.cpus_per_task, self.settings.gpus_per_task
        return self.ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0)(body)

    def _result(self, ref: Any, number: int, settings: str) -> Any:
        """The result of a task; None if its worker died and the trial is to be repeated; the reason, a text, if that
        happened too often with these settings.

        Raises `UserError` if a machine cannot execute trials.
        """
        try:
            result = self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:  # no mistake of the settings, which the task handles itself
            cause = getattr(error, "cause", None) or error
            message = next(iter(str(cause).strip().splitlines()), "")
            raise UserError(f"a task on the Ray cluster failed: {type(cause).__name__}: {message}") from None
        except self.ray.exceptions.RayError as error:
            reason = death_reason(error)
            self.deaths[settings] += 1
            if self.deaths[settings] > MAX_RETRIES:
                return f"its worker {reason}, as in {MAX_RETRIES} attempts before"
            warn_user(f"trial {number}: its worker {reason}; it is repeated")
            return None
        if isinstance(result, UserError):
            raise result
        return result
