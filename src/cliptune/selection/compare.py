"""Measure candidates on the images of a split, cheapest first, within the time limit."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric import Fabric

from cliptune import experiment, inspection
from cliptune.backbones.feature_memo import FEATURES, remember_features
from cliptune.backbones.load import cached_backbone
from cliptune.config import RunConfig
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import cache_folder
from cliptune.selection import files
from cliptune.selection.candidates import BASELINE
from cliptune.selection.files import FoldResult
from cliptune.selection.split import Fold, Split, fold_task
from cliptune.selection.time_limit import Budget, OutOfTime, StepTimer
from cliptune.types import Task

#: Makes the watchers of a candidate from a title.
WatchersOf = Callable[[str], Sequence[Watcher]]


@dataclass(frozen=True)
class Measured:
    """A candidate, as far as it was measured.

    Args:
        name: Its name.
        run: Its configuration.
        results: The results of the finished folds.
        folds: Number of all folds.
        missing_seconds: Predicted time of the folds that the time limit left out: 0 if there are none, None if unknown.
        problem: Why it cannot be used with this data and backbone, or "".
    """

    name: str
    run: RunConfig
    results: Sequence[FoldResult]
    folds: int
    missing_seconds: float | None = 0.0
    problem: str = ""

    @property
    def finished(self) -> bool:
        """Whether all folds are done."""
        return len(self.results) == self.folds

    @property
    def seconds(self) -> float:
        """Time of the finished folds."""
        return sum(result.seconds for result in self.results)

    @property
    def predicted(self) -> Mapping[str, int]:
        """Key of each image of the finished folds -> predicted label."""
        return {key: label for result in self.results for key, label in result.predicted.items()}

    @property
    def training_seconds(self) -> float | None:
        """Time of one training, or None if no fold is finished."""
        return max((result.seconds for result in self.results), default=None)


@dataclass(frozen=True)
class Comparison:
    """What all candidates share.

    Args:
        task: The task of the final training.
        split: The images that candidates are compared on.
        folder: The folder of the final run.
        budget: The time limit.
        fabric: The device and the precision.
        watchers_of: Makes the watchers of a candidate.
    """

    task: Task
    split: Split
    folder: Path
    budget: Budget
    fabric: Fabric
    watchers_of: WatchersOf

    def measure(self, candidates: Sequence[tuple[str, RunConfig]], done: Callable[[Measured], None]) -> list[Measured]:
        """Measure all candidates that fit into the time limit; `BASELINE` always does.

        done: Called with each candidate in turn.
        """
        keys = [[example.key for example in fold.scored] for fold in self.split.folds]
        known: dict[str, dict[int, FoldResult]] = {}
        for name, run in candidates:
            files.claim_candidate(self.folder, name, run)
            folder = files.candidate_folder(self.folder, name)
            found = {i: files.read_fold(folder, i, keys[i]) for i in range(len(keys))}
            known[name] = {i: result for i, result in found.items() if result is not None}
        self.budget.before = sum(result.seconds for found in known.values() for result in found.values())
        measured = []
        for name, run in candidates:
            measured.append(self._measure(name, run, known[name]))
            done(measured[-1])
            if measured[-1].finished:
                self.budget.reserve = max(self.budget.reserve, measured[-1].training_seconds or 0.0)
        return measured

    def _measure(self, name: str, run: RunConfig, known: dict[int, FoldResult]) -> Measured:
        """Measure a candidate. known: Fold -> result of an earlier call."""
        folds, results = self.split.folds, dict(known)
        todo = [i for i in range(len(folds)) if i not in known]
        missing, problem = 0.0, ""
        for done, i in enumerate(todo):
            left = len(todo) - done
            mean = sum(result.seconds for result in results.values()) / len(results) if results else None
            if name != BASELINE and not self.budget.fits(left * (mean or 0.0), mean or 0.0):
                missing = None if mean is None else left * mean
                problem = "" if results else self._find_problem(run)
                break
            timer = StepTimer(self.budget, left, len(folds[i].scored) / run.training.batch_size)
            watchers = (*self.watchers_of(f"{name} {i + 1}/{len(folds)}"), timer)
            try:
                with warnings.catch_warnings():
                    if results:  # the first fold has given them
                        warnings.simplefilter("ignore")
                    results[i] = self._train(name, run, i, folds[i], watchers)
            except OutOfTime as stop:
                missing = None if stop.seconds is None else left * stop.seconds
                break
            except UserError as error:
                if name == BASELINE:
                    raise
                problem = str(error)
                break
        return Measured(name, run, [results[i] for i in sorted(results)], len(folds), missing, problem)

    def _find_problem(self, run: RunConfig) -> str:
        """Why a candidate that is not trained cannot be used with the data and the backbone, or ""."""
        try:
            experiment.untrained_model(run, self.task)
        except UserError as error:
            return str(error)
        return ""

    def _train(self, name: str, run: RunConfig, i: int, fold: Fold, watchers: Sequence[Watcher]) -> FoldResult:
        """Train a candidate on a fold, predict the images that it scores, and write the result.

        An interrupted training is continued from its last epoch.
        """
        begun, folder = self.budget.clock(), files.candidate_folder(self.folder, name)
        state, task = folder / f"fold{i + 1}", fold_task(self.task, fold)
        backbone = cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
        # Views without augmentation are the same for all candidates and folds.
        fixed_views = run.reading.cache and run.training.augment == "none"
        memo = cache_folder("features") / FEATURES if fixed_views else None
        with backbone.autocast_with(self.fabric.autocast), remember_features(memo):
            model, _, _ = experiment.train_stages(run, task, self.fabric, state, watchers)
            (part,) = inspection.inspect_task(model, run, task, watchers).splits
        result = FoldResult(
            {e.key: int(label) for e, label in zip(fold.scored, part.predicted, strict=True)},
            self.budget.clock() - begun,
            sum(p.numel() for p in model.learner.parameters() if p.requires_grad),
        )
        files.write_fold(folder, i, result)
        shutil.rmtree(state, ignore_errors=True)
        return result
