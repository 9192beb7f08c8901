"""Against printed tables of Student's t, and against integrating its density."""

import math

import pytest

from cliptune.results.t_distribution import two_sided_p, two_sided_quantile


@pytest.mark.parametrize(
    "freedom, t", [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227), (99, 1.98422)]
)
def test_quantiles_of_printed_tables(freedom, t):
    assert two_sided_quantile(0.95, freedom) == pytest.approx(t, rel=1e-5)
    assert two_sided_p(t, freedom) == pytest.approx(0.05, rel=1e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 8, 15])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.5])
def test_probability_is_the_density_outside(freedom, t):
    scale = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)
    n = 2000
    steps = [(i + 0.5) * t / n for i in range(n)]
    inside = 2 * sum(scale * (1 + x * x / freedom) ** (-(freedom + 1) / 2) for x in steps) * t / n
    assert two_sided_p(t, freedom) == pytest.approx(1 - inside, abs=1e-6)
    assert two_sided_p(-t, freedom) == two_sided_p(t, freedom)
