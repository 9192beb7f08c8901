"""The time limit: what is left of it, whether a training fits, and the end of one that does not."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError, shown

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
#: Steps of a training after which its time is predicted. The first one, which is slower, is not counted.
PROBE_STEPS = 4
Clock = Callable[[], float]


def parse_time(value: str | float | None) -> float:
    """Seconds of a time such as "90s", "10m", "1h" or 600; infinity for None, 0 and "0". Raises `UserError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", "0" if value is None else str(value).strip())
    if isinstance(value, bool) or match is None:
        raise UserError(f"time_limit must be a time such as 90s, 10m or 1h, or 0 for no limit, got {shown(value)}")
    return float(match[1]) * UNITS[match[2]] or float("inf")


def format_time(seconds: float) -> str:
    """A time in words that `parse_time` reads, rounded up: "45s", "12m", "1.5h"."""
    if seconds <= 90:
        return f"{max(1, -int(-seconds // 1))}s"
    if seconds <= 5400:
        return f"{-int(-seconds // 60)}m"
    return f"{-int(-seconds // 360) / 10:g}h"


class OutOfTime(Exception):
    """A training does not fit into the time limit, or has reached it.

    Args:
        seconds: The predicted time of the whole training, or None if too few steps were taken to tell.
    """

    def __init__(self, seconds: float | None):
        super().__init__("the time limit")
        self.seconds = seconds


@dataclass
class Budget:
    """The time limit of a comparison.

    Args:
        limit: In seconds.
        clock: Returns seconds.
        before: Seconds that earlier calls spent on results that are used again; they count.
        reserve: Seconds needed to train the winner in the end, as far as is known.
    """

    limit: float
    clock: Clock = time.monotonic
    before: float = 0.0
    reserve: float = 0.0
    start: float = field(init=False)

    def __post_init__(self):
        self.start = self.clock()

    @property
    def spent(self) -> float:
        """Seconds spent so far."""
        return self.before + self.clock() - self.start

    def fits(self, seconds: float, reserve: float = 0.0) -> bool:
        """Whether work of that many seconds fits, and training the winner after it, which takes `reserve` at least."""
        return self.spent + seconds + max(self.reserve, reserve) <= self.limit


class StepTimer(Watcher):
    """Predicts the time of a training from its first steps, and ends it with `OutOfTime` if it does not fit.

    Args:
        budget: The time limit.
        trainings: Number of trainings of this kind that are still to be done, this one included, before the last one,
            for which time is reserved.
        evaluated: Evaluation counts as that many further steps.
    """

    def __init__(self, budget: Budget, trainings: int, evaluated: float = 0.0):
        self.budget, self.trainings, self.evaluated = budget, trainings, evaluated
        self.created = budget.clock()
        self.total, self.whole, self.done, self.begun, self.probed = 0, 0, 0, 0.0, 0.0
        self.predicted: float | None = None

    def begin(self, epochs: int, steps: int, first: int) -> None:
        self.whole, self.total = epochs * steps, (epochs - first) * steps
        self.done, self.begun = 0, self.budget.clock()

    def step(self, epoch: int, losses: Mapping[str, float]) -> None:
        self.done += 1
        now = self.budget.clock()
        if self.done == 1:
            self.probed = now
        if self.done == PROBE_STEPS:
            per_step = (now - self.probed) / (PROBE_STEPS - 1)
            self.predicted = self.begun - self.created + per_step * (self.whole + self.evaluated)
            rest = per_step * (self.total - PROBE_STEPS + self.evaluated)
            left = (self.trainings - 1) * self.predicted + max(0.0, rest)
            if not self.budget.fits(left, self.predicted):
                raise OutOfTime(self.predicted)
        if self.done < self.total and not self.budget.fits(0.0, self.predicted or 0.0):
            raise OutOfTime(self.predicted)
