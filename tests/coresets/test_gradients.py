"""Factored gradients against those of autograd; GraNd, CRAIG, GRAD-MATCH and GLISTER, which use them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from cliptune.coresets import select
from cliptune.coresets.common.gradients import Gradients, residuals
from cliptune.coresets.common.kernels import distances, inner_products
from cliptune.coresets.common.nnls import nnls
from naive_coresets import by_class, classes, gradients, greedy, pool, pool_gradients


@pytest.fixture(scope="module")
def small():
    return pool()


def factored(signals, labels):
    return Gradients(residuals(signals.logits, labels), signals.features)


def test_against_autograd(small):
    signals, labels = small
    whole, ours = pool_gradients(signals, labels), factored(signals, labels)
    assert whole.shape == (30, 3 * 9)
    assert_close(ours.inner(ours), whole @ whole.T)
    assert_close(ours.norms(), whole.norm(dim=1))
    assert_close(inner_products(ours, "test"), whole @ whole.T)
    assert_close(distances(ours, "test"), torch.cdist(whole, whole), atol=1e-7, rtol=1e-7)
    unit = whole / whole.norm(dim=1, keepdim=True)
    assert_close(ours.unit().inner(ours.unit()), unit @ unit.T)


@pytest.mark.parametrize("some", [1, 2, 25])
def test_the_mean_of_many_or_few(small, some):
    """Both ways of computing it: few other gradients, and so many that writing out their mean is cheaper."""
    signals, labels = small
    whole, ours = pool_gradients(signals, labels), factored(signals, labels)
    index = torch.arange(some)
    assert_close(ours.inner_mean(ours[index]), whole @ whole[:some].mean(0))
    many = ours[torch.arange(some).repeat(200)]
    assert_close(ours.inner_mean(many), whole @ whole[:some].mean(0))


def test_certain_images_keep_their_order():
    """Residuals far below the rounding of 1 - p."""
    logits = torch.tensor([[0.0, -20.0], [0.0, -30.0], [0.0, -25.0]])
    labels = torch.zeros(3, dtype=torch.long)
    assert residuals(logits, labels)[:, 0].tolist() == pytest.approx([-math.exp(-20), -math.exp(-30), -math.exp(-25)])
    signals = replace(pool(3, 2)[0], logits=logits.double(), correct=None)
    assert select("uncertainty", replace(signals, logits=logits), labels, 0.4, measure="least_confidence").scores[
        0
    ] == pytest.approx(math.exp(-20))


def test_grand(small):
    signals, labels = small
    norms = pool_gradients(signals, labels).norm(dim=1)
    found = select("grand", signals, labels, 0.3)
    assert_close(found.scores, norms)
    assert found.indices.tolist() == by_class(labels, 0.3, lambda r, b: norms[r].argsort(descending=True)[:b])


def test_dapt_grand_favours_a_smaller_last_batch():
    signals, labels = pool(53)
    norms = pool_gradients(signals, labels).norm(dim=1)
    found = select("grand", signals, labels, 3 / 53, balanced=False, variant="dapt")
    assert_close(found.scores, norms / torch.tensor([50.0] * 50 + [3.0] * 3))
    assert found.indices.tolist() == [50, 51, 52]
    full = select("grand", *pool(100), 0.1, variant="dapt")
    assert_close(full.scores * 50, select("grand", *pool(100), 0.1).scores)


def test_craig(small):
    signals, labels = small
    whole = pool_gradients(signals, labels)
    apart = torch.cdist(whole, whole)

    def choose(rows, budget):
        near = apart[rows][:, rows]
        s = near.max() - near
        return greedy(lambda chosen: s[chosen].max(0).values.sum(), len(rows), budget)

    found = select("craig", signals, labels, 0.3)
    assert found.indices.tolist() == by_class(labels, 0.3, choose)
    index = found.indices
    for j, weight in zip(index, found.weights, strict=True):
        mine = (labels == labels[j]).nonzero()[:, 0]
        rivals = index[labels[index] == labels[j]]
        assert weight == sum(int(rivals[apart[i, rivals].argmin()] == j) for i in mine)
    assert found.weights.sum() == 30
    dapt = select("craig", signals, labels, 0.3, variant="dapt")
    assert dapt.indices.equal(index) and dapt.weights.equal(found.weights + 1)  # one batch, one factor


def test_craig_where_classes_compete():
    signals, labels = pool(24)
    whole = pool_gradients(signals, labels)
    apart = torch.cdist(whole, whole)
    s = torch.zeros_like(apart)
    for rows in classes(labels):
        near = apart[rows][:, rows]
        s[rows[:, None], rows] = near.max() - near + 1e-3
    expected = greedy(lambda chosen: s[chosen].max(0).values.sum(), 24, 7)
    assert select("craig", signals, labels, 7 / 24, balanced=False).indices.tolist() == sorted(expected)


def test_craig_selected_duplicates_represent_themselves():
    signals, labels = pool(6, 1, seed=3, n_val=1)
    twins = replace(signals, features=signals.features[[0, 0]], logits=torch.zeros(2, 1, dtype=torch.float64))
    two = torch.zeros(2, dtype=torch.long)
    assert select("craig", replace(twins, correct=None), two, 1.0).weights.tolist() == [1, 1]
    assert select("craig", replace(twins, correct=None), two, 1.0, variant="dapt").weights.tolist() == [3, 1]


def pursuit(g, target, budget, ridge, plain_first=False):
    """Orthogonal matching pursuit on full gradients, with projected gradient descent for the final weights."""
    chosen, rest = [], target
    for k in range(budget):
        toward = g @ rest
        toward[chosen] = -torch.inf
        chosen.append(int(toward.argmax()))
        a = g[chosen]
        x = torch.linalg.solve(
            a @ a.T + (0 if plain_first and k == 0 else ridge) * torch.eye(k + 1).double(), a @ target
        )
        rest = target - x @ a
    gram, aim = a @ a.T + ridge * torch.eye(budget).double(), a @ target
    x = torch.zeros(budget).double()
    for _ in range(10_000):
        x = (x - (gram @ x - aim) / gram.diagonal().sum()).clamp_min(0)
    return chosen, x


@pytest.mark.parametrize("validation", [False, True])
def test_gradmatch(small, validation):
    signals, labels = small
    whole = pool_gradients(signals, labels)
    val = gradients(signals.val_logits, signals.val_features, signals.val_labels)
    found = select("gradmatch", signals, labels, 0.4, validation=validation)
    for c, rows in enumerate(classes(labels)):
        mean = val[signals.val_labels == c].mean(0) if validation else whole[rows].mean(0)
        chosen, x = pursuit(whole[rows], len(rows) * mean, 4, 0.5)
        mine = labels[found.indices] == c
        order = torch.tensor(chosen).argsort()
        assert found.indices[mine].tolist() == rows[chosen].sort().values.tolist()
        assert_close(found.weights[mine], x[order], atol=1e-6, rtol=1e-6)


def test_dapt_gradmatch():
    signals, labels = pool(seed=3)  # a pool for which the missing ridge of the first step matters
    whole = pool_gradients(signals, labels)
    found = select("gradmatch", signals, labels, 0.5, variant="dapt")
    for c, rows in enumerate(classes(labels)):
        chosen, x = pursuit(whole[rows], whole[rows].mean(0), 5, 1.0, plain_first=True)
        expected = {int(rows[j]): float(w) for j, w in zip(chosen, x, strict=True) if w > 1e-9}
        mine = labels[found.indices] == c
        got = dict(zip(found.indices[mine].tolist(), found.weights[mine].tolist(), strict=True))
        assert got.keys() == expected.keys() and got == pytest.approx(expected, abs=1e-6)
    lone = select("gradmatch", signals, labels, 0.1, variant="dapt")
    assert lone.weights.tolist() == [1.0] * 3


@pytest.mark.parametrize("seed", range(8))
def test_nnls(seed):
    """The KKT conditions of the unique optimum: no weight is negative, and raising a weight of 0 does not help."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(12, 9, generator=generator).double()
    gram, target = a @ a.T + 0.1 * torch.eye(12).double(), torch.randn(12, generator=generator).double()
    x = nnls(gram, target)
    slope = gram @ x - target
    assert bool((x >= 0).all()) and 0 < int((x > 0).sum()) < 12
    assert slope[x > 0].abs().max() < 1e-9 and slope[x == 0].min() > -1e-9


def glister(signals, labels, rows, val_rows, budget, eta):
    """GLISTER with full gradients and validation logits updated after each step."""
    whole = pool_gradients(signals, labels)[rows]
    logits, chosen = signals.val_logits[val_rows], []
    for _ in range(budget):
        mean = gradients(logits, signals.val_features[val_rows], signals.val_labels[val_rows]).mean(0)
        gain = whole @ mean
        gain[chosen] = -torch.inf
        chosen.append(int(gain.argmax()))
        bias, weight = whole[chosen[-1]].split([3, 24])
        logits = logits - eta * (bias + signals.val_features[val_rows] @ weight.reshape(3, 8).T)
    return chosen


@pytest.mark.parametrize("eta", [0.05, 3.0])
def test_glister(small, eta):
    signals, labels = small
    for balanced in (True, False):
        val_rows = [(signals.val_labels == c).nonzero()[:, 0] if balanced else torch.arange(9) for c in range(3)]
        found = select("glister", signals, labels, 0.4, eta=eta, balanced=balanced)
        parts = classes(labels) if balanced else [torch.arange(30)]
        expected = [
            r[glister(signals, labels, r, h, round(0.4 * len(r)), eta)] for r, h in zip(parts, val_rows, strict=False)
        ]
        assert found.indices.tolist() == torch.cat(expected).sort().values.tolist()


def test_glister_steps_matter_and_the_pool_can_replace_validation_images(small):
    signals, labels = small
    often = select("glister", signals, labels, 0.4, eta=30.0, balanced=False).indices
    assert not often.equal(select("glister", signals, labels, 0.4, eta=30.0, balanced=False, updates=1).indices)
    alone = replace(signals, val_features=None, val_labels=None, val_logits=None)
    itself = replace(signals, val_features=signals.features, val_labels=labels, val_logits=signals.logits)
    assert select("glister", alone, labels, 0.4).indices.equal(select("glister", itself, labels, 0.4).indices)


def test_dapt_glister():
    """A constant gain, and candidates as `np.random` draws them after seeding."""
    signals, labels = pool(70, n_val=12)
    batch = torch.where(torch.arange(70) < 50, 50, 20)[:, None]
    whole = pool_gradients(signals, labels) / batch
    val = gradients(signals.val_logits, signals.val_features, signals.val_labels) / 12
    state, expected = np.random.RandomState(4), []
    for c, rows in enumerate(classes(labels)):
        gain = (whole[rows] @ val[signals.val_labels == c].mean(0)).numpy()
        budget = round(0.1 * len(rows))
        sample, left = max(round(-np.log(0.9) * len(rows) / budget), 1), np.arange(len(rows))
        for _ in range(budget):
            some = state.choice(left, size=sample, replace=False)
            best = some[gain[some].argmax()]
            left = left[left != best]
            expected.append(int(rows[best]))
    assert select("glister", signals, labels, 0.1, variant="dapt", seed=4).indices.tolist() == sorted(expected)
