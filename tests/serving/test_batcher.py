"""What arrives while a batch is computed is computed together; an error reaches its own item only."""

import threading

import pytest

from cliptune.serving.batcher import Batcher


class Slow:
    """Doubles numbers when it is allowed to; fails for batches with a negative one."""

    def __init__(self):
        self.started, self.allowed, self.calls = threading.Event(), threading.Event(), []

    def __call__(self, key, items):
        self.started.set()
        assert self.allowed.wait(10)
        self.calls.append((key, list(items)))
        if min(items) < 0:
            raise ValueError(f"negative: {min(items)}")
        return [2 * item for item in items]


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def batcher(slow):
    made = Batcher(slow, max_batch=4)
    yield made
    slow.allowed.set()
    made.close()


def test_items_that_wait_are_computed_together_by_key(slow, batcher):
    first = batcher.submit("a", 1)
    assert slow.started.wait(10)
    others = [batcher.submit("ab"[n % 2], n) for n in range(2, 8)]
    slow.allowed.set()
    assert [f.result(10) for f in (first, *others)] == [2, 4, 6, 8, 10, 12, 14]
    assert slow.calls == [("a", [1]), ("a", [2, 4]), ("b", [3, 5]), ("a", [6]), ("b", [7])]


def test_an_error_reaches_its_own_item_only(slow, batcher):
    batcher.submit("a", 0)
    assert slow.started.wait(10)
    good, bad = batcher.submit("a", 5), batcher.submit("a", -1)
    slow.allowed.set()
    assert good.result(10) == 10
    with pytest.raises(ValueError, match="negative: -1"):
        bad.result(10)
    assert batcher.submit("a", 6).result(10) == 12


def test_cancelled_items_are_not_computed(slow, batcher):
    batcher.submit("a", 0)
    assert slow.started.wait(10)
    assert batcher.submit("a", 1).cancel()
    slow.allowed.set()
    assert batcher.submit("a", 2).result(10) == 4
    assert ("a", [2]) in slow.calls and all(1 not in items for _, items in slow.calls)
