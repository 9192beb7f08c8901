"""Rows of predictions, accuracy per class, confused classes and mistakes, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from cliptune.analysis.class_accuracy import class_accuracies, confusions, surest_mistakes
from cliptune.analysis.split_predictions import SplitProbabilities, joined, log_softmax, prediction_rows

NAMES = ("cat", "dog", "owl", "ant")


def predictions(shares, labels, split="test", names=NAMES):
    labels = tuple((y,) if isinstance(y, int) else tuple(y) for y in labels)
    paths = tuple(f"{i}.jpg" for i in range(len(labels)))
    return SplitProbabilities(split, names, paths, labels, np.log(np.array(shares, dtype=float))).predictions


@pytest.fixture
def part():
    shares = [[0.7, 0.2, 0.05, 0.05], [0.3, 0.6, 0.05, 0.05], [0.1, 0.8, 0.05, 0.05], [0.05, 0.05, 0.5, 0.4]]
    return predictions(shares, [0, 0, 1, 1])


def test_rows_contain_both_probabilities_margin_and_entropy(part):
    first, second, _, last = prediction_rows([part])
    assert (first["path"], first["true"], first["predicted"], first["split"]) == ("0.jpg", "cat", "cat", "test")
    assert (second["predicted"], second["correct"]) == ("dog", False)
    assert [second[k] for k in ("true_probability", "predicted_probability")] == pytest.approx([0.3, 0.6])
    assert [first["margin"], last["margin"]] == pytest.approx([0.5, 0.1])
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.05, 0.05))
    assert first["entropy"] == pytest.approx(entropy)


def test_a_probability_of_zero_has_no_entropy():
    logits = log_softmax(np.array([[2000.0, 0.0, 0.0, 0.0]]))
    row = prediction_rows([SplitProbabilities("test", NAMES, ("a",), ((0,),), logits).predictions])[0]
    assert row["entropy"] == 0 and row["margin"] == 1 and math.copysign(1, row["entropy"]) == 1


def test_classes_without_images_have_no_accuracy(part):
    cat, dog, owl, _ = class_accuracies(part)
    assert (cat.images, cat.correct, cat.percent) == (2, 1, 50)
    assert cat.interval == pytest.approx((9.45, 90.55), abs=0.01)  # Wilson, as published for 1 of 2
    assert dog.percent == 50
    assert (owl.images, owl.percent, owl.interval) == (0, None, None)


def test_confused_classes_and_mistakes(part):
    assert [(p.true, p.predicted, p.count, p.images) for p in confusions(part)] == [
        ("cat", "dog", 1, 2),
        ("dog", "owl", 1, 2),
    ]
    assert surest_mistakes(part, 5) == [1, 3] and surest_mistakes(part, 1) == [1]


def test_multi_label_images_are_correct_with_any_of_their_classes():
    part = predictions([[0.1, 0.6, 0.2, 0.1], [0.1, 0.6, 0.2, 0.1]], [(0, 1), (0, 2)])
    first, second = prediction_rows([part])
    assert (first["true"], first["correct"], first["true_probability"]) == ("cat|dog", True, pytest.approx(0.6))
    assert (second["true"], second["correct"], second["true_probability"]) == ("cat|owl", False, pytest.approx(0.2))
    assert [(c.images, c.correct) for c in class_accuracies(part)] == [(2, 1), (1, 1), (1, 0), (0, 0)]
    assert [(p.true, p.predicted) for p in confusions(part)] == [("owl", "dog")]
    assert part.multi_label


def test_batches_joined_are_the_whole():
    shares, labels = np.random.default_rng(0).dirichlet(np.ones(4), 5), [0, (1, 2), 3, 3, 0]
    paths, labels = tuple("abcde"), tuple((y,) if isinstance(y, int) else y for y in labels)
    every = [(slice(0, 2), slice(2, 5)), (slice(0, 5),)]
    pieces, whole = (
        joined([SplitProbabilities("val", NAMES, paths[s], labels[s], np.log(shares[s])).predictions for s in some])
        for some in every
    )
    assert prediction_rows([pieces]) == prediction_rows([whole]) and pieces.true.tolist() == whole.true.tolist()
