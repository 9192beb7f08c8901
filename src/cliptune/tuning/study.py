"""The study of a search in OUT/study.db: its trials, and which one is next. Any number of processes share it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from cliptune.errors import UserError
from cliptune.tuning.space import Dimension

#: File of the study, and the name of the study in it.
STUDY, NAME = "study.db", "cliptune"
#: Trials at random before the sampler learns, and complete trials before any is pruned.
RANDOM_TRIALS, TRIALS_BEFORE_PRUNING = 8, 5
#: Complete trials without which importance is not computed.
TRIALS_FOR_IMPORTANCE = 10
#: The first measurement that may prune a trial.
PRUNED_FROM = 2
#: Attributes of trials: why one failed; and the accuracy of the settings that the search starts from.
REASON, DEFAULT, SECONDS = "reason", "default", "seconds"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. accuracy: In percent, of a complete trial. reason: Why it failed."""

    state: Literal["complete", "pruned", "failed"]
    seconds: float
    accuracy: float | None = None
    reason: str = ""


def import_optuna() -> Any:
    """The module `optuna`. Raises `UserError` with the command that installs it."""
    try:
        import optuna
    except ImportError:
        raise UserError('tuning needs the package optuna: pip install "cliptune[tune]"') from None
    return optuna


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """Optuna without its log messages and warnings about experimental parts, which are as before afterwards."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)


class SharedStudy:
    """A study in a file. identity: What a search must agree in to be continued, by name.

    Raises `UserError` if the folder contains a search that differs, or a file that is no study.
    """

    def __init__(self, folder: Path, space: Sequence[Dimension], seed: int, identity: Mapping[str, str]):
        self.folder, self.space, self.seed = folder, tuple(space), seed
        self.optuna = import_optuna()
        from sqlalchemy.engine import URL  # which Optuna needs as well

        try:
            url = URL.create("sqlite", database=str(folder.absolute() / STUDY))  # escapes characters such as "?"
            self.storage = self.optuna.storages.RDBStorage(
                url.render_as_string(), engine_kwargs={"connect_args": {"timeout": 60}}
            )
            study = self._study()
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise UserError(f"{folder / STUDY} cannot be used ({reason}); remove it, or choose another --out") from None
        if not study.user_attrs.get("identity"):
            study.set_user_attr("identity", dict(identity))
        for name, value in study.user_attrs["identity"].items():
            if identity.get(name) != value:
                other = f"{name} {value}, not {identity.get(name)}" if name in ("method", "space") else f"other {name}"
                raise UserError(f"{folder} contains a search with {other}; choose another --out, or remove that folder")

    def require_same(self, name: str, value: str) -> None:
        """Record a value, or raise `UserError` if the search was started with another one."""
        study = self._study()
        if study.user_attrs.setdefault(name, value) != value:
            raise UserError(
                f"{self.folder} contains a search with other {name}; choose another --out, or remove that folder"
            )
        study.set_user_attr(name, value)

    def _study(self, number: int = 0) -> Any:
        """The study, with the sampler of a trial: a new one for each, so that a continued search samples the same."""
        samplers, pruners = self.optuna.samplers, self.optuna.pruners
        sampler = samplers.TPESampler(seed=(self.seed * 1_000_003 + number) % 2**32, n_startup_trials=RANDOM_TRIALS)
        return self.optuna.create_study(
            storage=self.storage,
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
            sampler=sampler,
            pruner=pruners.MedianPruner(n_startup_trials=TRIALS_BEFORE_PRUNING, n_warmup_steps=PRUNED_FROM),
        )

    def trials(self) -> list[Any]:
        """The trials that count, by number: finished, running, or failed because of their settings."""
        states = self.optuna.trial.TrialState
        trials = self._study().get_trials(deepcopy=False)
        return [t for t in trials if t.state != states.WAITING and (t.state != states.FAIL or self.reason(t))]

    @staticmethod
    def reason(trial: Any) -> str:
        """Why a trial failed; for the first trial outside of the space, that it has the starting settings."""
        return trial.user_attrs.get(REASON, "")

    def recover(self) -> None:
        """Mark the trials of processes that died, and queue their settings. No other process may use the study."""
        states, study = self.optuna.trial.TrialState, self._study()
        for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self.repeat(trial)

    def repeat(self, trial: Any) -> None:
        """Mark a trial whose process died, and queue its settings."""
        study = self._study()
        if set(trial.params) == {one.name for one in self.space}:
            study.enqueue_trial(trial.params, skip_if_exists=False)
        study.tell(trial.number, state=self.optuna.trial.TrialState.FAIL)

    def add_default(self, settings: Mapping[str, Any], accuracy: float, course: Mapping[int, float], seconds: float):
        """Add the trial of the settings that the search starts from, which the sampler learns from if they are in the
        space."""
        inside = all(one.contains(settings[one.name]) for one in self.space)
        more: dict[str, Any] = {"state": self.optuna.trial.TrialState.FAIL}
        if inside:
            more = {
                "value": accuracy,
                "params": {one.name: one.parameter(settings[one.name]) for one in self.space},
                "distributions": {one.name: self._distribution(one) for one in self.space},
                "intermediate_values": dict(course),
            }
        attributes = {DEFAULT: accuracy, SECONDS: seconds, **({} if inside else {REASON: "outside of the space"})}
        self._study().add_trial(self.optuna.trial.create_trial(user_attrs=attributes, **more))

    def ask(self, total: int) -> tuple[Any, dict[str, Any]] | None:
        """The next trial and its settings; None if there are `total` trials."""
        with FileLock(self.folder / ".ask.lock"):
            number = len(self.trials())
            if number >= total:
                return None
            trial = self._study(number).ask()
            return trial, {one.name: one.value(self._suggest(trial, one)) for one in self.space}

    @staticmethod
    def report(trial: Any, step: int, accuracy: float) -> bool:
        """Record a measurement of a trial; return whether to prune it."""
        trial.report(accuracy, step)
        return trial.should_prune()

    def tell(self, trial: Any, outcome: Outcome) -> None:
        """Record how a trial ended."""
        states = self.optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[outcome.state]
        if outcome.state == "failed":
            trial.set_user_attr(REASON, outcome.reason)
        else:
            trial.set_user_attr(SECONDS, outcome.seconds)
        trial.study.tell(trial.number, outcome.accuracy, state=state)

    def _distribution(self, one: Dimension) -> Any:
        distributions = self.optuna.distributions
        if one.kind == "choice":
            return distributions.CategoricalDistribution(one.words)
        if one.kind == "int":
            return distributions.IntDistribution(int(one.low), int(one.high))
        return distributions.FloatDistribution(one.low, one.high, log=one.kind == "log")

    @staticmethod
    def _suggest(trial: Any, one: Dimension) -> Any:
        if one.kind == "choice":
            return trial.suggest_categorical(one.name, one.words)
        if one.kind == "int":
            return trial.suggest_int(one.name, int(one.low), int(one.high))
        return trial.suggest_float(one.name, one.low, one.high, log=one.kind == "log")

    def importance(self) -> dict[str, float]:
        """Importance of each setting by PED-ANOVA, most important first; empty if there are too few trials."""
        states = self.optuna.trial.TrialState
        done = self._study().get_trials(deepcopy=False, states=(states.COMPLETE,))
        if len(self.space) < 2 or len(done) < TRIALS_FOR_IMPORTANCE:
            return {}
        evaluator = self.optuna.importance.PedAnovaImportanceEvaluator()
        try:
            return dict(self.optuna.importance.get_param_importances(self._study(), evaluator=evaluator))
        except (ValueError, RuntimeError):
            return {}
