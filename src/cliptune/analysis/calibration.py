"""Calibration of probabilities: expected calibration error, reliability diagram, temperature scaling.

After Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cliptune.analysis.class_accuracy import NORMAL_QUANTILE_95
from cliptune.analysis.split_predictions import SplitPredictions, SplitProbabilities, log_softmax
from cliptune.errors import UserError

#: Number of bins of equal width, as in the paper.
BINS = 15
#: Limits of 1 / temperature in the search.
SCALE_LIMITS = (1e-4, 1e4)


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose predicted class has a probability in (low, high]: their number, mean probability and accuracy."""

    low: float
    high: float
    images: int
    confidence: float
    correct: int

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.correct / self.images


@dataclass(frozen=True)
class Calibration:
    """Calibration of the predictions for a split.

    Args:
        images: Number of images.
        accuracy: Share of correct predictions.
        confidence: Mean probability of the predicted class.
        error: Expected calibration error: the mean over images of |accuracy - confidence| of the image's bin.
        nll: Mean negative log probability of the true class, in nats.
        bins: The bins that have images.
    """

    images: int
    accuracy: float
    confidence: float
    error: float
    nll: float
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature that divides logits, with its 95 % interval, and the validation images that it was fitted on.

    Args:
        temperature: Above 1 if the model is overconfident.
        interval: 95 % interval, from the curvature of the likelihood.
        images: Number of validation images.
        nll: Mean negative log-likelihood on these images before and after.
    """

    temperature: float
    interval: tuple[float, float]
    images: int
    nll: tuple[float, float]


def measure_calibration(part: SplitPredictions) -> Calibration:
    """Measure the calibration of the predictions for the images of a split. Raises `ValueError` if it has none."""
    if not part.paths:
        raise ValueError(f"{part.split} has no images")
    confidence, correct = np.exp(part.predicted_log), part.correct
    # Floating-point error can make a probability exceed 1.
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = [
        ReliabilityBin(
            i / BINS, (i + 1) / BINS, int(here.sum()), float(confidence[here].mean()), int(correct[here].sum())
        )
        for i in range(BINS)
        if (here := places == i).any()
    ]
    n = len(confidence)
    error = sum(one.images * abs(one.accuracy - one.confidence) for one in bins) / n
    return Calibration(
        n, float(correct.mean()), float(confidence.mean()), error, float(-part.true_log.mean()), tuple(bins)
    )


def fit_temperature(validation: SplitProbabilities) -> FittedTemperature:
    """Fit a temperature to validation images by maximum likelihood.

    The mean negative log-likelihood is convex in 1 / temperature, so its minimum is found by bisection of the
    derivative.

    Raises:
        UserError: If images have several classes, or the likelihood has no maximum: it grows without limit as the
            temperature approaches 0 if all predictions are correct, and as it grows if they are worse than chance.
    """
    predictions = validation.predictions
    if predictions.multi_label:
        raise UserError(
            "images with several classes have no calibration: the probabilities of all classes sum to 1, so they are "
            "not those of each class being in the image"
        )
    n = len(validation.paths)
    logits, true, own = validation.log_probabilities, predictions.true, predictions.true_log

    def slope(scale: float) -> float:
        """Derivative of the mean negative log-likelihood by 1 / temperature."""
        expected = (np.exp(log_softmax(scale * logits)) * logits).sum(1)
        return float((expected - own).mean())

    low, high = SCALE_LIMITS
    if bool(predictions.correct.all()) or slope(high) <= 0:
        raise UserError(
            f"all {n} validation images are classified correctly, so every smaller temperature fits them better and "
            f"none is best; the probabilities stay as they are, or use more validation images"
        )
    if slope(low) >= 0:
        raise UserError(
            f"the predictions for the {n} validation images are no better than chance, so every larger temperature "
            f"fits them better and none is best; train a better model first"
        )
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    scale = math.sqrt(low * high)
    logs = log_softmax(scale * logits)
    shares = np.exp(logs)
    variance = float(((shares * logits**2).sum(1) - (shares * logits).sum(1) ** 2).sum())
    deviation = 1 / (scale * math.sqrt(max(variance, 1e-300)))  # of the logarithm of the scale
    spread = math.exp(min(NORMAL_QUANTILE_95 * deviation, 100.0))
    nll = float(-own.mean()), float(-logs[np.arange(n), true].mean())
    return FittedTemperature(1 / scale, (1 / (scale * spread), spread / scale), n, nll)
