"""A run after one epoch."""

import pytest

import cliptune as ct
from example_results import record, study

__all__ = ["record", "study"]


@pytest.fixture(scope="session")
def tuned(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return ct.train("coop", f"folder:{photos}", shots=4, epochs=2, min_steps=0, keep="best", out=out)
