"""Methods that cover the pool: uniform, herding, k-center, contextual diversity."""

import itertools

import numpy as np
import pytest
import torch

from cliptune.coresets import Signals, select
from naive_coresets import by_class, classes, greedy, kl, pool


def test_uniform_is_uniform():
    labels = torch.arange(6) % 2
    counts = torch.zeros(6)
    for seed in range(300):
        counts[select("uniform", Signals(), labels, 1 / 3, seed=seed).indices] += 1
    assert counts.sum() == 600 and counts.min() > 60


def test_uniform_of_the_release():
    """`np.random.seed(seed)`, then one draw per class, also of a class that is selected whole."""
    _, labels = pool(23)
    labels[7] = 3
    for balanced in (True, False):
        state = np.random.RandomState(2)
        parts = [r.numpy() for r in classes(labels)] if balanced else [np.arange(23)]
        expected = np.concatenate([state.choice(r, round(0.6 * len(r)), replace=False) for r in parts])
        found = select("uniform", Signals(), labels, 0.6, seed=2, variant="dapt", balanced=balanced)
        assert found.indices.tolist() == sorted(expected.tolist())


def herd(h, budget, best):
    mean, chosen = h.mean(0), []
    for k in range(budget):
        rest = [j for j in range(len(h)) if j not in chosen]
        chosen.append(best(rest, key=lambda j: float(((k + 1) * mean - h[[*chosen, j]].sum(0)).norm())))
    return chosen


def test_herding():
    signals, labels = pool()
    found = select("herding", signals, labels, 0.4).indices.tolist()
    assert found == by_class(labels, 0.4, lambda r, b: herd(signals.features[r], b, min))
    whole = select("herding", signals, labels, 0.4, balanced=False).indices.tolist()
    assert whole == sorted(herd(signals.features, 12, min))
    mixed = (signals.features + signals.text[labels]) / 2
    dapt = select("herding", signals, labels, 0.4, variant="dapt").indices.tolist()
    assert dapt == by_class(labels, 0.4, lambda r, b: herd(mixed[r], b, max)) != found


def test_herding_by_hand():
    """At angles 0, 10, 50 the mean is nearest to the middle image; the release selects the farthest."""
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 50.0]))
    v = torch.stack([angles.cos(), angles.sin()], 1)
    signals, labels = Signals(v, torch.ones(1, 2)), torch.zeros(3, dtype=torch.long)
    assert select("herding", signals, labels, 0.3).indices.tolist() == [1]
    assert select("herding", signals, labels, 0.3, variant="dapt").indices.tolist() == [2]


def farthest(apart, first, budget):
    chosen = [first]
    while len(chosen) < budget:
        rest = [j for j in range(len(apart)) if j not in chosen]
        chosen.append(max(rest, key=lambda j: float(apart[j, chosen].min())))
    return chosen


def distances(method, signals):
    if method == "k_center":
        return torch.cdist(signals.features, signals.features)
    p = signals.logits.softmax(1)
    return kl(p[:, None], p) / 2 + kl(p, p[:, None]) / 2


both = pytest.mark.parametrize("method", ["k_center", "contextual_diversity"])


@both
@pytest.mark.parametrize("seed", range(3))
def test_farthest_first(method, seed):
    signals, labels = pool(seed=seed)
    apart = distances(method, signals)
    found = select(method, signals, labels, 0.3, balanced=False, seed=seed).indices.tolist()
    assert found in [sorted(farthest(apart, first, 9)) for first in range(30)]


@both
def test_farthest_first_of_the_release(method):
    signals, labels = pool()
    apart = distances(method, signals)

    def choose(rows, budget):
        return farthest(apart[rows][:, rows], np.random.RandomState(3).randint(0, len(rows)), budget)

    found = select(method, signals, labels, 0.4, seed=3, variant="dapt").indices.tolist()
    assert found == by_class(labels, 0.4, choose)


def test_k_center_is_within_twice_the_best():
    signals, labels = pool(14)
    apart = distances("k_center", signals)
    chosen = select("k_center", signals, labels, 3 / 14, balanced=False).indices
    best = min(float(apart[list(a)].min(0).values.max()) for a in itertools.combinations(range(14), 3))
    assert best <= float(apart[chosen].min(0).values.max()) <= 2 * best


def test_naive_greedy_itself():
    assert greedy(sum, 4, 2) == [3, 2] and greedy(len, 4, 2) == [0, 1]
