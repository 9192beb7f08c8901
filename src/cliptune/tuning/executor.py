"""What a search tries, and the interface of what executes its trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cliptune import methods
from cliptune.config import RunConfig, fingerprint
from cliptune.selection.split import ScoredOn
from cliptune.tuning.space import Dimension
from cliptune.tuning.study import SharedStudy
from cliptune.tuning.trial import TrialResult, Validation


@dataclass(frozen=True)
class Search:
    """What a search tries: the run that it starts from, the space, the number of trials, the folder, and the images
    that trials are scored on (see `split_task`)."""

    run: RunConfig
    space: tuple[Dimension, ...]
    trials: int
    out: Path
    scored_on: ScoredOn = "auto"
    folds: int = 5

    def open_study(self) -> SharedStudy:
        """The study in the folder, which is created if there is none. Raises `UserError` if it is of another search."""
        identity = {
            "method": methods.name_of(self.run.method),
            "space": " ".join(map(str, self.space)),
            "data, shots, seed or settings": fingerprint(self.run),
            "images to score on": f"{self.scored_on} {self.folds}",
        }
        return SharedStudy(self.out, self.space, self.run.seed, identity)


class Executor(ABC):
    """Executes the trials of a search."""

    @abstractmethod
    def first(self, validation: Validation) -> TrialResult:
        """Execute the trial of the starting settings. Raises `UserError` if these cannot be trained."""

    @abstractmethod
    def rest(self, study: SharedStudy, validation: Validation, announce: Callable[[], Any]) -> None:
        """Execute trials until there are enough. announce: Called whenever trials may have finished."""

    def close(self) -> None:
        """Release what the trials needed."""
        return
