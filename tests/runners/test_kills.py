"""Sweeps killed at random moments, and two sweeps in one directory: nothing is lost, nothing repeated."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import logging_method

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes")
HERE = Path(__file__).parent


def fork_sweeps(photos, folder, *what):
    # A forked process would wait forever for the threads of its parent.
    fixed = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    environment = {**os.environ, **fixed}
    command = [sys.executable, str(HERE / "fork_sweeps.py"), str(photos), str(folder), *map(str, what)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    """Results of a sweep that is not killed."""
    folder = tmp_path_factory.mktemp("sweeps")
    fork_sweeps(photos, folder, "alone")
    planned = logging_method.make_jobs(photos, folder / "alone")
    assert logging_method.trained_epochs(folder / "alone") == dict.fromkeys(logging_method.all_epochs(planned), 1)
    return logging_method.left_behind(planned)


@pytest.mark.slow
def test_a_sweep_killed_ten_times_equals_an_undisturbed_one(photos, tmp_path, undisturbed):
    seed = random.randrange(10**6)
    answer = fork_sweeps(photos, tmp_path, "kill", seed)
    planned, counts = (
        logging_method.make_jobs(photos, tmp_path / "kill"),
        logging_method.trained_epochs(tmp_path / "kill"),
    )
    assert counts.keys() == logging_method.all_epochs(planned), f"seed {seed}"
    # A kill repeats an epoch if it falls between its log line and its training state.
    assert counts.total() - len(counts) <= answer["kills"] == 10, f"seed {seed}"
    assert logging_method.left_behind(planned) == undisturbed, f"seed {seed}"


@pytest.mark.slow
def test_two_sweeps_at_once_share_the_jobs(photos, tmp_path, undisturbed):
    assert fork_sweeps(photos, tmp_path, "both")["codes"] == [0, 0]
    planned = logging_method.make_jobs(photos, tmp_path / "both")
    assert logging_method.trained_epochs(tmp_path / "both") == dict.fromkeys(logging_method.all_epochs(planned), 1), (
        "no epoch twice"
    )
    assert logging_method.left_behind(planned) == undisturbed


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_no_files(photos, tmp_path):
    *tries, (undisturbed, _, _) = fork_sweeps(photos, tmp_path, "everywhere")
    assert len(tries) > 10 and any("logged_1/seed1/result.json" in left for left, _, _ in tries)
    for change, (left, code, then) in enumerate(tries, 1):
        assert code == 0 and then == undisturbed, f"before change {change} there were {left}"
    one, *others = (
        logging_method.make_jobs(photos, tmp_path / "everywhere" / str(i + 1), widths=(1,), seeds=(1,))
        for i in range(len(tries))
    )
    assert all(logging_method.left_behind(other) == logging_method.left_behind(one) for other in others)
