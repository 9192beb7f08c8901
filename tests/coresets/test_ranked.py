"""Methods that score each image: uncertainty, forgetting, CAL, DeepFool."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from cliptune.coresets import Signals, select
from naive_coresets import classes, kl, pool

LOGITS = torch.tensor([[4.0, 0.0, 0.0], [9.0, 8.5, 0.0], [2.0, 1.0, 1.9], [0.1, 0.0, 0.0]])
ONE_CLASS = torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    "measure, paper, dapt, unbalanced",
    [
        ("margin", [2, 3], [2, 3], [0, 1]),
        ("least_confidence", [2, 3], [2, 3], [0, 1]),  # the release: logits 4, 9, 2, 0.1
        ("entropy", [2, 3], [2, 3], [0, 1]),
    ],
)
def test_uncertainty(measure, paper, dapt, unbalanced):
    def chosen(**more):
        return select("uncertainty", Signals(logits=LOGITS), ONE_CLASS, 0.5, measure=measure, **more)

    p = LOGITS.softmax(1)
    expected = {
        "margin": p.sort(descending=True).values @ torch.tensor([1.0, -1.0, 0.0]),
        "least_confidence": 1 - p.amax(1),
        "entropy": -(p * p.log()).sum(1),
    }[measure]
    assert_close(chosen().scores, expected)
    assert chosen().indices.tolist() == chosen(balanced=False).indices.tolist() == paper
    assert chosen(variant="dapt").indices.tolist() == dapt
    assert chosen(variant="dapt", balanced=False).indices.tolist() == unbalanced  # the most certain


def test_dapt_least_confidence_looks_at_logits():
    """The more certain of two images has the smaller logit."""
    signals = Signals(logits=torch.tensor([[5.0, 4.9], [3.0, -9.0]]))
    two = torch.zeros(2, dtype=torch.long)
    assert select("uncertainty", signals, two, 0.5, measure="least_confidence").indices.tolist() == [0]
    assert select("uncertainty", signals, two, 0.5, measure="least_confidence", variant="dapt").indices.tolist() == [1]


def test_forgetting():
    correct = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 1, 1, 1]]).bool()
    labels = torch.zeros(5, dtype=torch.long)
    found = select("forgetting", Signals(correct=correct), labels, 0.4)
    assert found.scores.tolist() == [2, torch.inf, 0, 0, 1]
    assert found.indices.tolist() == [0, 1]
    dapt = select("forgetting", Signals(correct=correct), labels, 0.4, variant="dapt")
    assert dapt.scores.tolist() == [2, 0, 0, 0, 1]
    assert dapt.indices.tolist() == [0, 4]
    once = select("forgetting", Signals(correct=correct[:1]), labels, 0.4, variant="dapt")
    assert once.scores.tolist() == [0] * 5 and once.indices.tolist() == [0, 1]


def near(features, i, k, among):
    return sorted((j for j in among if j != i), key=lambda j: float((features[i] - features[j]).norm()))[:k]


@pytest.mark.parametrize("balanced", [True, False])
def test_cal(balanced, monkeypatch):
    monkeypatch.setattr("cliptune.coresets.cal.CHUNK_DISTANCES", 100)  # three rows at a time
    signals, labels = pool()
    p = signals.logits.softmax(1)
    expected = torch.stack(
        [torch.stack([kl(p[j], p[i]) for j in near(signals.features, i, 4, range(30))]).mean() for i in range(30)]
    )
    found = select("cal", signals, labels, 0.3, balanced=balanced, neighbours=4)
    assert_close(found.scores, expected)
    for rows in classes(labels) if balanced else [torch.arange(30)]:
        most = rows[expected[rows].argsort(descending=True)[: round(0.3 * len(rows))]]
        assert found.indices[torch.isin(found.indices, rows)].tolist() == most.sort().values.tolist()


def test_dapt_cal():
    """The smallest scores, and probabilities of another image unless the pool is sorted by class."""
    signals, labels = pool(33)
    assert labels.tolist() != labels.sort().values.tolist()
    h = (signals.features + signals.text[labels]) / 2
    p = signals.logits.softmax(1)
    mixed = p[torch.cat(classes(labels))]  # what the release reads at position i
    expected = torch.zeros(33, dtype=torch.float64)
    for rows in classes(labels):
        for i in rows.tolist():
            other = torch.tensor(near(h, i, 10, rows.tolist()))
            expected[i] = (kl(mixed[i], mixed[other]) / 2 + kl(mixed[other], mixed[i]) / 2).mean()
    found = select("cal", signals, labels, 0.3, variant="dapt")
    assert_close(found.scores, expected)
    least = torch.cat([r[expected[r].argsort()[:3]] for r in classes(labels)])
    assert found.indices.tolist() == least.sort().values.tolist()


def test_cal_has_fewer_neighbours_in_small_pools():
    signals, labels = pool(3)
    assert select("cal", signals, labels, 1.0).scores.isfinite().all()
    alone = select("cal", signals, labels, 1.0, variant="dapt")  # one image per class: no neighbour
    assert alone.scores.tolist() == [0, 0, 0]


def test_deepfool():
    """The smallest step that changes the predicted class, checked by taking it."""
    signals, labels = pool(20, 4)
    v, t = signals.features, signals.text
    found = select("deepfool", signals, labels, 0.3, balanced=False)
    f = v @ t.T
    for i in range(20):
        y = int(f[i].argmax())
        steps = []
        for k in set(range(4)) - {y}:
            w = t[k] - t[y]
            r = (f[i, y] - f[i, k]) / w.norm() ** 2 * w
            assert_close((v[i] + r) @ t[k], (v[i] + r) @ t[y])  # on the boundary
            steps.append(float(r.norm()) ** 2)
        least = min(steps)
        assert float(found.scores[i]) == pytest.approx(least)
    assert found.indices.tolist() == found.scores.argsort()[:6].sort().values.tolist()


def test_deepfool_against_its_iteration():
    """Steps until the class changes: a linear classifier needs one, up to rounding."""
    signals, labels = pool(20, 4)
    t = signals.text
    for i, score in enumerate(select("deepfool", signals, labels, 0.3).scores):
        x = signals.features[i].clone().requires_grad_()
        y, total = int((t @ x).argmax()), torch.zeros(8).double()
        for _ in range(50):
            f = t @ x
            slopes = torch.stack([torch.autograd.grad(z, x, retain_graph=True)[0] for z in f])
            w = slopes - slopes[y]
            distance = (f - f[y]).detach().abs() / w.norm(dim=1)
            k = min(set(range(4)) - {y}, key=lambda k: float(distance[k]))
            total += 1.0001 * distance[k] / w[k].norm() * w[k]  # a little beyond the boundary
            x = (signals.features[i] + total).requires_grad_()
            if int((t @ x).argmax()) != y:
                break
        assert float(total.square().sum()) == pytest.approx(float(score), rel=1e-3)


def test_deepfool_has_no_step_between_classes_with_equal_text():
    signals, labels = pool(6, 2)
    same = replace(signals, text=signals.text[[0, 0]], logits=None, val_logits=None)
    assert select("deepfool", same, labels, 0.5).scores.tolist() == [torch.inf] * 6
