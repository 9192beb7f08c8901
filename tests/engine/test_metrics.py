"""Metrics against numbers worked out by hand, and from batches of any size."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from cliptune.engine.kept_rows import KeptRows
from cliptune.engine.metrics import Metrics, accuracy, mean_average_precision
from cliptune.types import Example, TestSet
from tiny_clips import normal


def metrics_of(logits: Tensor, test: TestSet, name: str, sizes: Sequence[int] = ()) -> dict[str, float]:
    """The metrics of logits `(n, columns)` that come in batches of these sizes."""
    metrics = Metrics(test, name)
    for batch in logits.split(list(sizes) or len(logits)):
        metrics.add(batch)
    return metrics.compute()


def test_accuracy_by_hand():
    answers = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 1.0, 5.0], [9.0, 1.0, 1.0]])
    test = TestSet(tuple(Example(str(i), label) for i, label in enumerate([0, 1, 2, 1])), ("a", "b", "c"))
    assert accuracy(answers.argmax(1), test) == 75.0
    # A column beyond the classes (competing words) is never correct.
    assert accuracy(torch.cat([answers, torch.full((4, 1), 10.0)], 1).argmax(1), test) == 0.0


def several(*shown):
    return TestSet(tuple(Example(str(i), s[0], labels=s) for i, s in enumerate(shown)), ("a", "b", "c"))


def test_images_of_several_classes_have_two_metrics():
    test = several((0, 1), (1,), (0,), (1,))
    answers = torch.tensor([[5.0, 4, 0], [1, 2, 3], [2, 1, 0], [0, 3, 0]])
    found = metrics_of(answers, test, "test")
    assert found["test"] == 75, "the second image's best answer is not in it"
    assert set(found) == {"test", "test/map"} and 0 < found["test/map"] < 100


def test_average_precision_is_that_of_the_ranking():
    # Class a in images 0 and 2 of four; probabilities of a: 0.8, 0.9, 0.7, 0.1 -> hits at places 2 and 3.
    a = torch.tensor([0.8, 0.9, 0.7, 0.1])
    answers, shown = torch.stack([a, 1 - a, torch.zeros(4)], 1).log(), several((0,), (1,), (0,), (1,)).examples
    per_a, per_b = (1 / 2 + 2 / 3) / 2, (1 + 2 / 4) / 2
    assert mean_average_precision(answers, shown) == pytest.approx(50 * (per_a + per_b)), "class c does not occur"


@pytest.mark.parametrize("distinct", [1, 5, 200])
def test_average_precision_equals_that_of_scikit_learn(distinct):
    sklearn = pytest.importorskip("sklearn.metrics")
    answers = normal(distinct, 4)[torch.arange(200) % distinct]  # few different images have many equal scores
    targets = (normal(200, 4, seed=2) > 0.7).long()
    targets[:, 3] |= targets.sum(1) == 0  # an image has a class
    shown = [Example(str(i), 0, labels=tuple(row.nonzero()[:, 0].tolist())) for i, row in enumerate(targets)]
    scores = answers.double().log_softmax(1)
    expected = sklearn.average_precision_score(targets.numpy(), scores.numpy(), average="macro")
    assert mean_average_precision(answers, shown) == pytest.approx(100 * expected)


def test_average_precision_distinguishes_logits_beyond_float32_probabilities():
    shown = several((0,), (1,)).examples
    answers = torch.tensor([[30.0, 0], [29, 0]])  # probabilities of the first class round to 1 in float32
    assert mean_average_precision(answers, shown) == 100
    assert mean_average_precision(answers.flip(0), shown) == 50
    shifted = answers + torch.tensor([[0.0], [50]])  # probabilities do not depend on a shift of an image's logits
    assert mean_average_precision(shifted, shown) == 100


def test_single_labels_have_accuracy_only():
    test = TestSet((Example("0", 0), Example("1", 1)), ("a", "b"))
    assert metrics_of(torch.eye(2), test, "base") == {"base": 100.0}


@pytest.mark.parametrize("labels", [[(0,), (1,), (0,), (2,), (1,)], [(0, 1), (1,), (0, 2), (2,), (1,)]])
def test_metrics_do_not_depend_on_the_batches(labels):
    several = any(len(own) > 1 for own in labels)
    examples = tuple(Example(str(i), own[0], labels=own if several else ()) for i, own in enumerate(labels))
    test = TestSet(examples, ("a", "b", "c"), parts={"some": frozenset([0, 1]), "none": frozenset([7])})
    logits = normal(5, 4)
    found = metrics_of(logits, test, "base")
    assert list(found) == ["base", "base/map", "some"] if several else ["base", "some"]
    assert found == metrics_of(logits, test, "base", [2, 3]) == metrics_of(logits, test, "base", [1] * 5)


def test_many_logits_are_ranked_from_a_file(monkeypatch):
    labels = [(i % 7, (3 * i + 1) % 7) for i in range(60)]
    examples = tuple(Example(str(i), own[0], labels=own) for i, own in enumerate(labels))
    test, logits, sizes = TestSet(examples, tuple("abcdefg")), normal(60, 8), [*[7] * 8, 4]
    in_memory = metrics_of(logits, test, "base", sizes)
    monkeypatch.setattr("cliptune.engine.kept_rows.MEMORY_BYTES", 500)
    monkeypatch.setattr("cliptune.engine.metrics.BLOCK_BYTES", 1000)  # two classes, and 15 rows at a time
    kept = KeptRows()
    for batch in logits.split(sizes):
        kept.add(batch)
    with kept.whole() as rows:
        assert kept._file is not None and torch.equal(rows, logits)
    assert metrics_of(logits, test, "base", sizes) == in_memory
