"""Sweeps killed at random moments, and two at once into one folder: nothing lost, nothing repeated."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import logging_method

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that tests are short")
HERE = Path(__file__).parent


def nursery(photos, folder, *what):
    # With more threads, a fork of a process that has used them would wait for them forever.
    fixed = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    environment = {**os.environ, **fixed}
    command = [sys.executable, str(HERE / "nursery.py"), str(photos), str(folder), *map(str, what)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    """Results of the sweep that nothing happens to."""
    folder = tmp_path_factory.mktemp("sweeps")
    nursery(photos, folder, "alone")
    planned = logging_method.make_jobs(photos, folder / "alone")
    assert logging_method.trained_epochs(folder / "alone") == dict.fromkeys(logging_method.all_epochs(planned), 1)
    return logging_method.left_behind(planned)


@pytest.mark.slow
def test_a_sweep_killed_ten_times_is_the_one_that_was_not(photos, tmp_path, undisturbed):
    seed = random.randrange(10**6)
    said = nursery(photos, tmp_path, "kill", seed)
    planned, counts = (
        logging_method.make_jobs(photos, tmp_path / "kill"),
        logging_method.trained_epochs(tmp_path / "kill"),
    )
    assert counts.keys() == logging_method.all_epochs(planned), f"seed {seed}"
    # What a kill may cost is the epoch it fell into, once that was logged and before its state was written.
    assert counts.total() - len(counts) <= said["kills"] == 10, f"seed {seed}"
    assert logging_method.left_behind(planned) == undisturbed, f"seed {seed}"


@pytest.mark.slow
def test_two_sweeps_at_once_share_the_work(photos, tmp_path, undisturbed):
    assert nursery(photos, tmp_path, "both")["codes"] == [0, 0]
    planned = logging_method.make_jobs(photos, tmp_path / "both")
    assert logging_method.trained_epochs(tmp_path / "both") == dict.fromkeys(logging_method.all_epochs(planned), 1), (
        "no epoch twice"
    )
    assert logging_method.left_behind(planned) == undisturbed


@pytest.mark.slow
def test_wherever_a_kill_falls_nothing_is_left_behind(photos, tmp_path):
    *tries, (undisturbed, _, _) = nursery(photos, tmp_path, "everywhere")
    assert len(tries) > 10 and any("logged_1/seed1/result.json" in left for left, _, _ in tries)
    for change, (left, code, then) in enumerate(tries, 1):
        assert code == 0 and then == undisturbed, f"before change {change} there were {left}"
    one, *others = (
        logging_method.make_jobs(photos, tmp_path / "everywhere" / str(i + 1), widths=(1,), seeds=(1,))
        for i in range(len(tries))
    )
    assert all(logging_method.left_behind(other) == logging_method.left_behind(one) for other in others)
