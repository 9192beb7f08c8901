"""Calibration error by hand, and the temperature against an exhaustive search."""

import numpy as np
import pytest

from cliptune.analysis.calibration import fit_temperature, measure_calibration
from cliptune.analysis.split_predictions import SplitProbabilities, log_softmax
from cliptune.errors import UserError

NAMES = ("cat", "dog", "owl")


def predictions(logits, labels):
    labels = tuple((y,) if isinstance(y, int) else tuple(y) for y in labels)
    return SplitProbabilities("val", NAMES, tuple(map(str, range(len(labels)))), labels, log_softmax(np.array(logits)))


def drawn(scale, n=4000):
    """Logits whose softmax gives the true probabilities, multiplied by `scale`."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 3)) * 2
    shares = np.exp(log_softmax(logits))
    return predictions(logits * scale, [int(rng.choice(3, p=row)) for row in shares])


def test_calibration_error_by_hand():
    shares = np.array([[0.9, 0.05, 0.05]] * 4 + [[0.5, 0.3, 0.2]] * 2)
    found = measure_calibration(predictions(np.log(shares), [0, 0, 0, 1, 0, 1]).predictions)
    assert found.images == 6 and found.accuracy == pytest.approx(4 / 6)
    assert [(b.images, b.correct) for b in found.bins] == [(2, 1), (4, 3)]
    assert [b.confidence for b in found.bins] == pytest.approx([0.5, 0.9])
    assert found.error == pytest.approx((2 * 0.0 + 4 * 0.15) / 6)
    assert found.nll == pytest.approx(-np.log([0.9, 0.9, 0.9, 0.05, 0.5, 0.3]).mean())


def test_probabilities_of_one_and_empty_splits():
    found = measure_calibration(predictions([[900.0, 0, 0]], [0]).predictions)
    assert found.error == 0 and found.bins[0].high == 1
    with pytest.raises(ValueError, match="no images"):
        measure_calibration(SplitProbabilities("val", NAMES, (), (), np.zeros((0, 3))).predictions)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_of_drawn_labels(scale):
    part = drawn(scale)
    fitted = fit_temperature(part)
    low, high = fitted.interval
    assert low < scale < high and high / low < 1.2 and fitted.temperature == pytest.approx(scale, rel=0.1)
    before, after = (measure_calibration(p.predictions) for p in (part, part.scaled(fitted.temperature)))
    assert fitted.nll == pytest.approx((before.nll, after.nll)) and before.accuracy == after.accuracy
    assert after.error < 0.03


def test_it_is_the_most_likely_of_all():
    part = drawn(2.0, 60)
    tried = np.exp(np.linspace(-3, 3, 6001))
    best = tried[np.argmin([measure_calibration(part.scaled(t).predictions).nll for t in tried])]
    assert fit_temperature(part).temperature == pytest.approx(best, rel=2e-3)


@pytest.mark.parametrize(
    "logits, labels, words",
    [
        ([[3.0, 1, 0], [0, 2, 1]], [0, 1], "all 2 validation images are classified correctly"),
        ([[3.0, 1, 0], [0, 2, 1]], [2, 0], "no better than chance"),
        ([[3.0, 1, 0], [0, 2, 1]], [(0, 1), 2], "several classes"),
    ],
)
def test_data_without_a_best_temperature(logits, labels, words):
    with pytest.raises(UserError, match=words):
        fit_temperature(predictions(logits, labels))
