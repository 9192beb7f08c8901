"""Likely label errors by confident learning.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70, 2021: images off
the diagonal of the confident joint, ranked by margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LabelError:
    """An image whose label is likely wrong.

    Args:
        index: Its row.
        label: Its label.
        suggested: The class that it more likely has.
        margin: Probability of `label` minus that of `suggested`; the lower, the likelier the error.
    """

    index: int
    label: int
    suggested: int
    margin: float


def likely_label_errors(probabilities: np.ndarray, labels: Sequence[int]) -> list[LabelError]:
    """Images that are confidently another class than their label, the likeliest errors first.

    The threshold of a class is the mean probability of that class over the images with that label. An image is
    confidently of the most probable class among those whose probability reaches the threshold. Classes without images
    are never suggested.

    Args:
        probabilities: `(n, C)`, predicted by models that were not trained on the image.
        labels: The label of each image.
    """
    given = np.asarray(labels, dtype=np.int64)
    if not len(given):
        return []
    own = probabilities[np.arange(len(given)), given]
    counts = np.bincount(given, minlength=probabilities.shape[1])
    totals = np.bincount(given, weights=own, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, totals / np.maximum(counts, 1), np.inf)
    # Rounding must not exclude the only image of a class from its own threshold.
    confident = np.where(probabilities >= thresholds - 1e-12, probabilities, -1.0)
    suggested = confident.argmax(1)
    found = np.flatnonzero((confident.max(1) >= 0) & (suggested != given))
    errors = [
        LabelError(i, int(given[i]), int(suggested[i]), float(own[i] - probabilities[i, suggested[i]]))
        for i in found.tolist()
    ]
    return sorted(errors, key=lambda error: (error.margin, error.index))
