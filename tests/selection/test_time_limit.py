"""Times as text, and trainings that do not fit."""

import pytest

from cliptune.errors import UserError
from cliptune.selection.time_limit import PROBE_STEPS, Budget, OutOfTime, StepTimer, format_time, parse_time


class FakeClock:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("text,seconds", [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45), (30, 30), (0.5, 0.5)])
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", [None, 0, "0", "0m"])
def test_no_limit(text):
    assert parse_time(text) == float("inf")


@pytest.mark.parametrize("text", ["", "10 min", "-5m", "1d", "nan", True, "m"])
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match="time_limit.*90s, 10m or 1h"):
        parse_time(text)


@pytest.mark.parametrize("seconds,text", [(0.2, "1s"), (90, "90s"), (91, "2m"), (3600, "60m"), (5401, "1.6h")])
def test_format(seconds, text):
    assert format_time(seconds) == text
    assert parse_time(text) >= seconds


def steps(timer, clock, count, seconds):
    for _ in range(count):
        clock.now += seconds
        timer.step(0, {})


def test_a_training_that_fits_is_not_stopped():
    clock = FakeClock()
    budget = Budget(100.0, clock)
    timer = StepTimer(budget, trainings=2)
    clock.now += 2  # before the first step
    timer.begin(epochs=5, steps=4, first=0)
    steps(timer, clock, 20, 1.0)
    assert timer.predicted == pytest.approx(22) and budget.spent == pytest.approx(22)


def test_a_training_that_does_not_fit_is_stopped_after_the_first_steps():
    clock = FakeClock()
    timer = StepTimer(Budget(60.0, clock), trainings=2)  # 2 x 20 s, and 20 s for the winner
    timer.begin(epochs=5, steps=4, first=0)
    steps(timer, clock, 20, 1.0)
    clock = FakeClock()
    timer = StepTimer(Budget(59.0, clock), trainings=2)
    timer.begin(epochs=5, steps=4, first=0)
    with pytest.raises(OutOfTime) as stop:
        steps(timer, clock, 20, 1.0)
    assert timer.done == PROBE_STEPS and stop.value.seconds == pytest.approx(20)


def test_a_resumed_training_predicts_whole_ones_for_the_other_folds():
    clock = FakeClock()
    timer = StepTimer(Budget(100.0, clock), trainings=3)
    timer.begin(epochs=10, steps=2, first=5)  # 10 of 20 steps are left, then 2 x 20 and 20 for the winner
    steps(timer, clock, 10, 1.0)
    assert timer.predicted == pytest.approx(20) and clock.now == 110
    timer = StepTimer(Budget(69.0, clock), trainings=3)
    timer.begin(epochs=10, steps=2, first=5)
    with pytest.raises(OutOfTime):
        steps(timer, clock, 10, 1.0)


def test_a_training_that_becomes_slower_is_stopped_at_the_limit():
    clock = FakeClock()
    budget = Budget(60.0, clock, reserve=5.0)
    timer = StepTimer(budget, trainings=1)
    timer.begin(epochs=5, steps=4, first=0)
    steps(timer, clock, 10, 1.0)
    with pytest.raises(OutOfTime):
        steps(timer, clock, 10, 9.0)
    assert budget.spent == pytest.approx(46)  # 20 s are reserved for the winner


def test_earlier_calls_count():
    clock = FakeClock()
    budget = Budget(60.0, clock, before=50.0)
    clock.now += 5
    assert budget.spent == 55 and budget.fits(5) and not budget.fits(5, reserve=1)
