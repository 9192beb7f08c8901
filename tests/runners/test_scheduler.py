"""What is left of a sweep: in which order, how long, and what becomes of runs that die."""

import io

import pytest
from rich.console import Console

from cliptune.config import RunConfig
from cliptune.methods.coop import CoOp
from cliptune.methods.maple import Maple
from cliptune.runners import scheduler as boards
from cliptune.runners.display import format_duration
from cliptune.runners.job import JobEvent
from cliptune.runners.scheduler import Scheduler
from cliptune.sweep import plan_jobs


@pytest.fixture
def clock(monkeypatch):
    """Moves on when told to."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(boards, "time", clock)
    return clock


@pytest.fixture
def board(tmp_path, clock):
    entries = plan_jobs([("a", RunConfig(CoOp())), ("b", RunConfig(Maple()))], (1, 2), tmp_path)
    return Scheduler(entries, entries, Console(file=io.StringIO(), width=200))


def said(board):
    return board.display.progress.console.file.getvalue()


def test_runs_are_handed_out_in_order_once(board):
    items = [board.next() for _ in range(5)]
    assert [i and (i.entry.label, i.entry.run.seed) for i in items] == [("a", 1), ("b", 1), ("a", 2), ("b", 2), None]
    assert board.left


def test_time_left_is_judged_by_runs_of_the_same_kind(board, clock):
    assert board._left() is None
    for seconds in (10, 50):
        item = board.next()
        clock.now += seconds
        board.news(item, JobEvent("done"))
    assert board._left() == 60
    board.workers = 2
    assert board._left() == 30
    one, other = board.next(), board.next()
    clock.now += 20
    assert board._left() == 30, "the longer of both"
    assert said(board).splitlines() == [
        "1 of 4: a, emoji, 16 shots, seed 1 in 10 s; about 30 s left",
        "2 of 4: b, emoji, 16 shots, seed 1 in 50 s; about 60 s left",
    ]
    board.news(one, JobEvent("done"))
    board.news(other, JobEvent("done"))
    assert not board.left and not board.failures


def test_a_run_whose_workers_die_is_tried_three_times_in_all(board):
    for _ in range(3):
        item = board.next()
        assert (item.entry.label, item.entry.run.seed) == ("a", 1)
        board.died(item, "was killed by signal 9")
    (failure,) = board.failures
    assert failure.why == "its worker was killed by signal 9, like those of 2 tries before" and not failure.mistake
    assert said(board).count("another goes on where it was") == 2


def test_a_run_another_sweep_is_at_comes_last_and_later(board, clock):
    board.news(board.next(), JobEvent("busy"))
    assert [board.next().entry.label for _ in range(3)] == ["b", "a", "b"]
    assert board.next() is None
    clock.now += boards.RETRY_SECONDS
    assert board.next().entry.run.seed == 1


def test_notes_are_warnings(board):
    item = board.next()
    with pytest.warns(UserWarning, match="few pictures"):
        board.news(item, JobEvent("note", "few pictures"))


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(3, "about 3 s"), (119, "about 119 s"), (121, "about 2 min"), (9000, "about 2 h"), (2e5, "about 2 d")],
)
def test_how_long_in_words(seconds, told):
    assert format_duration(seconds) == told
