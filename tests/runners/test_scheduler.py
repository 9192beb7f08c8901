"""The queue of a sweep: order of jobs, time left, jobs whose workers die or whose directory is locked."""

import io

import pytest
from rich.console import Console

from cliptune.config import RunConfig
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.runners import scheduler as scheduler_module
from cliptune.runners.display import format_duration
from cliptune.runners.job import JobEvent
from cliptune.runners.scheduler import Scheduler
from cliptune.sweep import plan_jobs


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(scheduler_module, "time", clock)
    return clock


@pytest.fixture
def scheduler(tmp_path, clock):
    jobs = plan_jobs([("a", RunConfig(CoOp())), ("b", RunConfig(Maple()))], (1, 2), tmp_path)
    return Scheduler(jobs, jobs, Console(file=io.StringIO(), width=200))


def printed(scheduler):
    return scheduler.display.progress.console.file.getvalue()


def test_jobs_start_in_order_once(scheduler):
    items = [scheduler.next_job() for _ in range(5)]
    assert [i and (i.job.label, i.job.run.seed) for i in items] == [("a", 1), ("b", 1), ("a", 2), ("b", 2), None]
    assert scheduler.has_jobs


def test_time_left_is_estimated_from_jobs_of_the_same_kind(scheduler, clock):
    assert scheduler.seconds_left() is None
    for seconds in (10, 50):
        item = scheduler.next_job()
        clock.now += seconds
        scheduler.handle(item, JobEvent("done"))
    assert scheduler.seconds_left() == 60
    scheduler.workers = 2
    assert scheduler.seconds_left() == 30
    one, other = scheduler.next_job(), scheduler.next_job()
    clock.now += 20
    assert scheduler.seconds_left() == 30, "the longer of both"
    assert printed(scheduler).splitlines() == [
        "1 of 4: a, emoji, 16 shots, seed 1 in 10 s; about 30 s left",
        "2 of 4: b, emoji, 16 shots, seed 1 in 50 s; about 60 s left",
    ]
    scheduler.handle(one, JobEvent("done"))
    scheduler.handle(other, JobEvent("done"))
    assert not scheduler.has_jobs and not scheduler.failures


def test_a_job_whose_workers_die_is_started_three_times_in_all(scheduler):
    for _ in range(3):
        item = scheduler.next_job()
        assert (item.job.label, item.job.run.seed) == ("a", 1)
        scheduler.worker_died(item, "was killed by signal 9")
    (failure,) = scheduler.failures
    assert failure.reason == "its worker was killed by signal 9, as in 2 attempts before" and not failure.user_error
    assert printed(scheduler).count("another one resumes it") == 2


def test_a_locked_job_is_retried_last_after_a_pause(scheduler, clock):
    scheduler.handle(scheduler.next_job(), JobEvent("locked"))
    assert [scheduler.next_job().job.label for _ in range(3)] == ["b", "a", "b"]
    assert scheduler.next_job() is None
    clock.now += scheduler_module.RETRY_SECONDS
    assert scheduler.next_job().job.run.seed == 1


def test_warning_events_become_warnings(scheduler):
    item = scheduler.next_job()
    with pytest.warns(UserWarning, match="few images"):
        scheduler.handle(item, JobEvent("warning", "few images"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "about 3 s"), (119, "about 119 s"), (121, "about 2 min"), (9000, "about 2 h"), (2e5, "about 2 d")],
)
def test_rough_durations(seconds, text):
    assert format_duration(seconds) == text
