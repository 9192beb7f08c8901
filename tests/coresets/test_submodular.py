"""Greedy against trying every picture, the best there is, and the release's own way of being lazy."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cliptune.coresets import select
from cliptune.coresets.common.cosine import CosineKernel
from cliptune.coresets.common.facility import facility_location
from cliptune.coresets.common.gradients import Gradients, residuals
from cliptune.coresets.common.graph_cut import graph_cut
from cliptune.coresets.common.log_determinant import RIDGE, log_determinant
from naive_coresets import by_class, greedy, pool, pool_gradients, similarity


def value(function, s, balance=2.0):
    """The function itself, on a list of positions."""
    return {
        "facility_location": lambda a: s[a].max(0).values.sum(),
        "graph_cut": lambda a: balance * s[:, a].sum() - s[a][:, a].sum(),
        "log_determinant": lambda a: torch.logdet(s[a][:, a] + RIDGE * torch.eye(len(a)).double()),
    }[function]


def run(function, kernel, budget, balance=2.0):
    if function == "facility_location":
        return facility_location(kernel.rows, len(kernel), budget)
    return graph_cut(kernel, budget, balance) if function == "graph_cut" else log_determinant(kernel, budget, "test")


def kernel_of(signals, labels, **more):
    return CosineKernel.of(Gradients(residuals(signals.logits, labels), signals.features), **more)


every = pytest.mark.parametrize("function", ["facility_location", "graph_cut", "log_determinant"])


@every
@pytest.mark.parametrize("seed", range(3))
def test_greedy(function, seed):
    signals, labels = pool(18, seed=seed)
    s = similarity(pool_gradients(signals, labels))
    f = value(function, s)
    picks, gains = run(function, kernel_of(signals, labels), 9)
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
        wanted = by_class(labels, 0.3, lambda r, b: greedy(value(function, s[r][:, r]), len(r), b))
    else:
        wanted = sorted(greedy(value(function, s), 30, 9))
    assert found == wanted


@pytest.mark.parametrize("seed", range(4))
def test_facility_location_is_near_the_best(seed):
    signals, labels = pool(12, seed=seed)
    s = similarity(pool_gradients(signals, labels))
    f = value("facility_location", s)
    ours = f(facility_location(s.__getitem__, 12, 4)[0].tolist())
    best = max(f(list(a)) for a in itertools.combinations(range(12), 4))
    assert (1 - 1 / math.e) * best <= ours <= best + 1e-9


def test_lazy_is_exact_on_many(monkeypatch):
    """More pictures than are looked at together, with twins, in whole steps so that ties are ties."""
    s = torch.randint(0, 6, (150, 150), generator=torch.Generator().manual_seed(0)).double()
    s = (s + s.T)[torch.arange(150) // 2 * 2][:, torch.arange(150) // 2 * 2]
    looked = []

    def rows(index):
        looked.append(len(index))
        return s[index]

    picks, gains = facility_location(rows, 150, 30)
    covered, wanted = torch.zeros(150).double(), []
    for _ in range(30):
        gain = (s - covered).clamp_min(0).sum(1)
        gain[wanted] = -1
        wanted.append(int(gain.numpy().argmax()))  # the first of equals
        covered = torch.maximum(covered, s[wanted[-1]])
    assert picks.tolist() == wanted
    assert sum(looked) < 150 * 30 * 0.9
    monkeypatch.setattr("cliptune.coresets.common.facility.ENTRIES", 600)
    looked.clear()
    assert facility_location(rows, 150, 30)[0].equal(picks)
    assert max(looked) == 4, "whatever is stale, no more are held together"


@every
@pytest.mark.parametrize("soft", [0.0, 1e-6])
def test_pools_too_large_to_hold(function, soft, monkeypatch):
    signals, labels = pool(25)
    held = kernel_of(signals, labels, soft=soft)
    monkeypatch.setattr("cliptune.coresets.common.cosine.DENSE", 0)
    free = kernel_of(signals, labels, soft=soft)
    assert held.matrix is not None and free.matrix is None
    assert_close(free.sums(), held.matrix.sum(0))
    assert_close(free.diagonal(), held.matrix.diagonal())
    assert run(function, free, 10)[0].equal(run(function, held, 10)[0])


def test_a_gradient_of_nothing_is_like_no_other():
    g = Gradients(torch.tensor([[0.0, 0.0], [0.5, -0.5]]), torch.eye(2))
    assert_close(CosineKernel.of(g).matrix, torch.tensor([[0.5, 0.5], [0.5, 1.0]]))
    assert_close(CosineKernel.of(g).diagonal(), torch.tensor([0.5, 1.0]))


def released(gain, size, budget):
    """The release's lazy loop: `gain(position, chosen)` of the top one is computed anew until it stays on top."""
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
    signals, labels = pool(60, width=64, scale=2.0)  # wide, so that the release's pseudo-inverse means something
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


def test_graph_cut_of_the_release_falls_in_the_end():
    signals, labels = pool(20)
    gains = graph_cut(kernel_of(signals, labels), 20, 1)[1]
    assert gains[0] > 0 > gains[-1]


def test_too_many_at_once():
    from cliptune.coresets.common.room import kept_rows
    from cliptune.errors import UserError

    with pytest.raises(UserError, match="submodular of 600000 of 1200000 pictures at once would hold 2682 GiB; take"):
        kept_rows(600_000, 1_200_000, torch.zeros(1), "submodular")
