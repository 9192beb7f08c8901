"""Greedy algorithms against exhaustive steps, the optimal selection, and the released lazy loop."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cliptune.coresets import select
from cliptune.coresets.common.gradients import Gradients, residuals
from cliptune.coresets.common.greedy import RIDGE, facility_location, graph_cut, log_determinant
from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky
from cliptune.coresets.common.kernels import cosine_similarities, distances
from cliptune.errors import UserError
from naive_coresets import by_class, greedy, pool, pool_gradients, similarity


def value(function, s, balance=2.0):
    """The value of the function for a list of positions."""
    return {
        "facility_location": lambda a: s[a].max(0).values.sum(),
        "graph_cut": lambda a: balance * s[:, a].sum() - s[a][:, a].sum(),
        "log_determinant": lambda a: torch.logdet(s[a][:, a] + RIDGE * torch.eye(len(a)).double()),
    }[function]


def run(function, similarity, diagonal, budget):
    if function == "facility_location":
        return facility_location(similarity.__getitem__, len(similarity), budget)
    if function == "graph_cut":
        return graph_cut(similarity, diagonal, budget, 2.0)
    return log_determinant(similarity, diagonal, budget)


def gradients_of(signals, labels):
    return Gradients(residuals(signals.logits, labels), signals.features)


every = pytest.mark.parametrize("function", ["facility_location", "graph_cut", "log_determinant"])


@every
@pytest.mark.parametrize("seed", range(3))
def test_greedy(function, seed):
    signals, labels = pool(18, seed=seed)
    s = similarity(pool_gradients(signals, labels))
    f = value(function, s)
    picks, gains = run(function, *cosine_similarities(gradients_of(signals, labels), "test"), 9)
    assert picks.tolist() == greedy(f, 18, 9)
    values = torch.stack([f(picks[: k + 1].tolist()) for k in range(9)])
    assert_close(gains, torch.diff(values, prepend=values.new_zeros(1)), atol=1e-6, rtol=1e-6)
    assert bool((gains[1:] <= gains[:-1] + 1e-9).all())  # diminishing returns
    if function != "log_determinant":
        assert bool((gains >= 0).all())  # monotone


@every
@pytest.mark.parametrize("balanced", [True, False])
def test_select(function, balanced):
    signals, labels = pool()
    s = similarity(pool_gradients(signals, labels))
    found = select("submodular", signals, labels, 0.3, function=function, balanced=balanced).indices.tolist()
    if balanced:
        expected = by_class(labels, 0.3, lambda r, b: greedy(value(function, s[r][:, r]), len(r), b))
    else:
        expected = sorted(greedy(value(function, s), 30, 9))
    assert found == expected


@pytest.mark.parametrize("seed", range(4))
def test_facility_location_is_near_the_best(seed):
    signals, labels = pool(12, seed=seed)
    s = similarity(pool_gradients(signals, labels))
    f = value("facility_location", s)
    ours = f(facility_location(s.__getitem__, 12, 4)[0].tolist())
    best = max(f(list(a)) for a in itertools.combinations(range(12), 4))
    assert (1 - 1 / math.e) * best <= ours <= best + 1e-9


def test_lazy_is_exact_on_many(monkeypatch):
    """More images than are recomputed at a time, with duplicates and integer values, so that ties are exact."""
    s = torch.randint(0, 6, (150, 150), generator=torch.Generator().manual_seed(0)).double()
    s = (s + s.T)[torch.arange(150) // 2 * 2][:, torch.arange(150) // 2 * 2]
    looked = []

    def rows(index):
        looked.append(len(index))
        return s[index]

    picks, gains = facility_location(rows, 150, 30)
    covered, expected = torch.zeros(150).double(), []
    for _ in range(30):
        gain = (s - covered).clamp_min(0).sum(1)
        gain[expected] = -1
        expected.append(int(gain.numpy().argmax()))  # the first of equals
        covered = torch.maximum(covered, s[expected[-1]])
    assert picks.tolist() == expected
    assert sum(looked) < 150 * 30 * 0.9
    monkeypatch.setattr("cliptune.coresets.common.greedy.CHUNK_ENTRIES", 600)
    looked.clear()
    assert facility_location(rows, 150, 30)[0].equal(picks)
    assert max(looked) == 4, "no more rows at a time"


@pytest.mark.parametrize("eps", [0.0, 1e-6])
def test_matrices_computed_in_chunks(eps, monkeypatch):
    gradients = gradients_of(*pool(25))
    whole = cosine_similarities(gradients, "test", eps=eps), distances(gradients, "test")
    monkeypatch.setattr("cliptune.coresets.common.kernels.CHUNK_ENTRIES", 100)  # four rows at a time
    (similarity, diagonal), apart = cosine_similarities(gradients, "test", eps=eps), distances(gradients, "test")
    assert_close(similarity, whole[0][0])
    assert_close(diagonal, similarity.diagonal())
    assert_close(apart, whole[1], atol=1e-7, rtol=1e-7)
    assert not apart.diagonal().any()


@pytest.mark.parametrize("method", ["submodular", "craig", "gradmatch"])
def test_pools_too_large_for_a_matrix(method, monkeypatch):
    largest = 10 * 10 * 8 / 2**30  # GiB of one class's matrix
    monkeypatch.setattr("cliptune.coresets.common.kernels.MAX_GIB", largest)
    assert len(select(method, *pool(30), 0.3).indices) == 9
    monkeypatch.setattr("cliptune.coresets.common.kernels.MAX_GIB", 0.99 * largest)
    with pytest.raises(UserError, match=f"{method} .*all pairs of 10 images.* GiB .*another method.*balanced=True"):
        select(method, *pool(30), 0.3)


def test_the_cosine_of_a_zero_gradient_is_zero():
    similarity, diagonal = cosine_similarities(Gradients(torch.tensor([[0.0, 0.0], [0.5, -0.5]]), torch.eye(2)), "test")
    assert_close(similarity, torch.tensor([[0.5, 0.5], [0.5, 1.0]]))
    assert_close(diagonal, torch.tensor([0.5, 1.0]))


def test_incremental_cholesky():
    x = torch.rand(40, 40, generator=torch.Generator().manual_seed(0)).double()
    k, order = x @ x.T, torch.randperm(40, generator=torch.Generator().manual_seed(1))[:25].tolist()
    cholesky = IncrementalCholesky(k, k.diagonal(), 0.1, 25)
    for i, best in enumerate(order):
        expected = k[best, best] + 0.1
        if done := order[:i]:
            among = k[done][:, done] + 0.1 * torch.eye(i).double()
            expected = expected - k[best, done] @ torch.linalg.solve(among, k[done, best])
        assert_close(cholesky.add(best)[1], expected)
    lower = torch.linalg.cholesky(k[order][:, order] + 0.1 * torch.eye(25).double())
    assert_close(cholesky.factor, torch.linalg.solve_triangular(lower, k[order], upper=False))


def released(gain, size, budget):
    """The release's lazy loop: recompute `gain(position, chosen)` of the best image until it stays the best."""
    chosen: list[int] = []
    stale = np.array([float(gain(j, chosen)) for j in range(size)])
    for _ in range(budget):
        best, last = -np.inf, -1
        while True:
            top = int(stale.argmax())
            if top == last:
                chosen.append(top)
                stale[top] = -np.inf
                break
            stale[top] = new = gain(top, chosen)
            if new >= best:
                best, last = new, top
    return chosen


@every
def test_dapt(function):
    signals, labels = pool(60, width=64, scale=2.0)  # wide, so that the release's pseudo-inverse is well conditioned
    g = pool_gradients(signals, labels) / torch.where(torch.arange(60) < 50, 50, 10)[:, None]
    norms = g.norm(dim=1)
    s = 0.5 + 0.5 * (g @ g.T) / (norms[:, None] * norms + 1e-6)

    def choose(rows, budget):
        own = s[rows][:, rows]

        def gain(j, chosen):
            if function == "graph_cut":
                return float(own[:, j].sum() - 2 * own[chosen, j].sum())
            if function == "log_determinant":
                return (
                    float(own[j, chosen] @ torch.linalg.pinv(own[chosen][:, chosen]) @ own[j, chosen]) if chosen else 0
                )
            covered = own[chosen].max(0).values if chosen else 0
            return float((own[j] - covered).clamp_min(0).sum())

        return released(gain, len(rows), budget)

    found = select("submodular", signals, labels, 0.4, function=function, variant="dapt").indices.tolist()
    assert found == by_class(labels, 0.4, choose)
    if function == "log_determinant":
        assert found == by_class(labels, 0.4, lambda rows, budget: range(budget))


def test_graph_cut_of_the_release_decreases_in_the_end():
    signals, labels = pool(20)
    gains = graph_cut(*cosine_similarities(gradients_of(signals, labels), "test"), 20, 1)[1]
    assert gains[0] > 0 > gains[-1]
