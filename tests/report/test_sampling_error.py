"""Standard errors of accuracies and intervals of proportions, against textbook values and simulation."""

import math

import numpy as np
import pytest

from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.report.sampling_error import sampling_error


@pytest.mark.parametrize(
    "right, of, low, high",
    [(8, 10, 49.02, 94.33), (0, 10, 0.0, 27.75), (10, 10, 72.25, 100.0), (50, 100, 40.38, 59.62), (0, 0, 0.0, 100.0)],
)
def test_wilsons_interval(right, of, low, high):
    assert wilson_interval(right, of) == pytest.approx((low, high), abs=0.01)


def test_wilsons_interval_solves_its_equation():
    """Its ends are the proportions from which the observed one is 1.96 standard errors away."""
    for right, of in ((3, 17), (29, 31), (1, 500)):
        for end in wilson_interval(right, of):
            share = end / 100
            assert abs(right / of - share) / math.sqrt(share * (1 - share) / of) == pytest.approx(1.96, abs=1e-3)


def test_an_accuracy_is_binomial(record):
    assert sampling_error([record(base=40.0)], "base") == pytest.approx(100 * math.sqrt(0.4 * 0.6 / 960))
    assert sampling_error([record(base=40.0), record(seed=2, base=60.0)], "base") == pytest.approx(
        100 * math.sqrt(0.25 / 960)
    )
    assert sampling_error([record(test=40.0)], "test") is None, "the number of images is unknown"


def test_a_harmonic_mean_against_simulation(record):
    rng = np.random.default_rng(0)
    base, novel = rng.binomial(960, 0.45, 20_000) / 9.6, rng.binomial(400, 0.7, 20_000) / 4
    spread = (2 * base * novel / (base + novel)).std()
    assert sampling_error([record(base=45.0, novel=70.0)], "hm") == pytest.approx(spread, rel=0.02)
    assert sampling_error([record(base=45.0)], "hm") is None
