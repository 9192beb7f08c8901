"""What large pools take: rows computed ahead, similarities in 16 bits, a few candidates each time, and what is said."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from cliptune.coresets import select
from cliptune.coresets.common import room
from cliptune.coresets.common.ahead import Ahead
from cliptune.coresets.common.facility import facility_location
from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky
from cliptune.coresets.common.rounded import STEPS, Rounded
from cliptune.coresets.common.sampled import sampled_facility_location
from cliptune.errors import UserError
from naive_coresets import pool, pool_gradients, similarity


def symmetric(m, seed=0):
    x = torch.rand(m, m, generator=torch.Generator().manual_seed(seed)).double()
    return (x + x.T) / 2


@pytest.fixture
def nothing_is_small(monkeypatch):
    """Pools of any size go the way of large ones."""
    for file in ("cosine", "distances"):
        monkeypatch.setattr(f"cliptune.coresets.common.{file}.DENSE", 0)


def test_rows_ahead_are_the_rows_and_come_together():
    x, asked = symmetric(200), []

    def rows(index):
        asked.append(index.tolist())
        return x[index]

    score = torch.arange(200.0).neg()
    ahead = Ahead(rows, 60)
    for best in range(60):
        assert ahead.row(best, score).equal(x[best])
        score[best] = -torch.inf
    assert [len(a) for a in asked] == [1, 2, 4, 8, 16, 29], "twice as many as were of use, no more than are left"
    asked.clear()
    wrong = Ahead(rows, 60)
    for best in range(60):  # the score always points elsewhere
        assert wrong.row(best, torch.arange(200.0)).equal(x[best])
    assert {len(a) for a in asked[1:-1]} == {2} and all(best in a for best, a in enumerate(asked))


def test_rows_ahead_where_all_are_equal():
    x = symmetric(10)
    ahead = Ahead(x.__getitem__, 10)
    assert all(ahead.row(best, torch.zeros(10)).equal(x[best]) for best in (7, 3, 0, 9, 8, 1, 2))


@pytest.mark.parametrize("together", [1, 3, 128])
def test_a_growing_factor(together, monkeypatch):
    monkeypatch.setattr("cliptune.coresets.common.ahead.MOST", together)
    x = symmetric(40)
    k, order = x @ x.T, torch.randperm(40, generator=torch.Generator().manual_seed(1))[:25].tolist()
    grown = IncrementalCholesky(k.__getitem__, k.diagonal(), 0.1, 25, "test")
    score = torch.zeros(40)
    for best in order:
        wanted = k[best, best] + 0.1
        if done := order[: grown.size]:
            among = k[done][:, done] + 0.1 * torch.eye(len(done)).double()
            wanted = wanted - k[best, done] @ torch.linalg.solve(among, k[done, best])
        row, rest = grown.add(best, score)
        assert_close(rest, wanted)
        score[best] = -torch.inf
    lower = torch.linalg.cholesky(k[order][:, order] + 0.1 * torch.eye(25).double())
    assert_close(grown.factor, torch.linalg.solve_triangular(lower, k[order], upper=False))


@pytest.mark.parametrize("entries", [16, 700, 10**6])
def test_rounded(entries, monkeypatch):
    monkeypatch.setattr("cliptune.coresets.common.rounded.ENTRIES", entries)
    x, asked = 3 * symmetric(33), []

    def block(index, columns):
        asked.append(len(index) * (columns.stop - columns.start))
        return x[index, columns].clone()

    found = Rounded.of(block, 33, 3.0, x.device)
    assert found.held.dtype == torch.int16 and found.held.equal(found.held.T)
    assert float((found.rows(torch.arange(33)) - x).abs().max()) <= 3.0 / STEPS / 2 * 1.01
    assert float(found.most()) == pytest.approx(float(x.max()), abs=3.0 / STEPS)
    assert entries > 16 or sum(asked) == 33 * 34 / 2, "half is computed"


@pytest.mark.parametrize("method", ["submodular", "craig", "gradmatch"])
@pytest.mark.parametrize("balanced", [True, False])
def test_large_pools_choose_the_same(method, balanced, nothing_is_small, monkeypatch):
    signals, labels = pool(40)
    options = [{"function": f} for f in ("facility_location", "graph_cut", "log_determinant")]
    for option in options if method == "submodular" else [{}]:
        large = select(method, signals, labels, 0.3, balanced=balanced, **option)
        with monkeypatch.context() as m:
            for file in ("cosine", "distances"):
                m.setattr(f"cliptune.coresets.common.{file}.DENSE", 4096)
            small = select(method, signals, labels, 0.3, balanced=balanced, **option)
        assert large.indices.equal(small.indices)
        assert small.weights is None or torch.allclose(large.weights, small.weights, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_is_near_the_best_and_the_greedy(seed):
    s = similarity(pool_gradients(*pool(14, seed=seed)))

    def value(a):
        return float(s[a].max(0).values.sum())

    best = max(value(list(a)) for a in itertools.combinations(range(14), 4))
    exact = value(facility_location(s.__getitem__, 14, 4)[0].tolist())
    found = []
    for draw in range(30):
        picks, gains = sampled_facility_location(
            s.__getitem__, 14, 4, slack := 0.2, torch.Generator().manual_seed(draw)
        )
        assert len(set(picks.tolist())) == 4
        found.append(value(picks.tolist()))
        assert float(gains.sum()) == pytest.approx(found[-1])
    mean = sum(found) / 30
    assert (1 - 1 / math.e - slack) * best <= mean <= best + 1e-9
    assert (1 - slack) * exact <= mean < exact, "drawing costs something, no more than promised"


def test_sampled_looks_at_few_and_at_all_when_told():
    s, looked = symmetric(300), []

    def rows(index):
        looked.append(len(index))
        return s[index]

    sampled_facility_location(rows, 300, 30, 0.01, torch.Generator().manual_seed(0))
    assert set(looked[1:]) == {math.ceil(10 * math.log(100))}
    picks, _ = sampled_facility_location(rows, 300, 30, 1e-20, torch.Generator().manual_seed(0))
    assert picks.equal(facility_location(s.__getitem__, 300, 30)[0]), "more drawn than there are"


@pytest.mark.parametrize("method, options", [("submodular", {"function": "facility_location"}), ("craig", {})])
def test_slack(method, options, nothing_is_small, monkeypatch):
    signals, labels = pool(60)

    def chosen(seed, **more):
        return select(method, signals, labels, 0.2, seed=seed, **options, **more).indices

    assert chosen(1, slack=0.5).equal(chosen(1, slack=0.5))
    assert len({tuple(chosen(seed, slack=0.5).tolist()) for seed in range(5)}) > 1
    assert chosen(0, slack=1e-9).equal(chosen(0)), "all are looked at"
    held = chosen(1, slack=0.5)
    monkeypatch.setattr(Rounded, "fits", lambda size: False)
    assert chosen(1, slack=0.5).equal(held), "computed when asked for"
    with pytest.raises(UserError, match=f"{method} would compare all 20 pictures at once with each other; give it a"):
        chosen(1)


def test_how_much_fits():
    assert Rounded.fits(56_755) and not Rounded.fits(56_756)


@pytest.mark.parametrize("method", ["submodular", "gradmatch", "k_center", "contextual_diversity", "herding", "cal"])
def test_hours_are_announced(method, monkeypatch):
    signals, labels = pool()
    monkeypatch.setattr(room, "SPEED", 1e-2)
    count = 30 if method == "cal" else 9
    with pytest.warns(UserWarning, match=f"{method} of {count} of 30 pictures at once will take about [0-9]+ [mh]"):
        select(method, signals, labels, 0.3, balanced=False)


def test_sampling_for_hours_is_announced(monkeypatch):
    signals, labels = pool(scale=2.0)
    monkeypatch.setattr(room, "SPEED", 1e-2)
    monkeypatch.setattr(Rounded, "fits", lambda size: False)
    with pytest.warns(UserWarning, match="submodular of 3 of 10 pictures at once will take"):
        select("submodular", replace(signals, correct=None), labels, 0.3, function="facility_location", slack=0.5)
