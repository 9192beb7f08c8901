"""Predictions for the images of a test set, one row per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

#: Columns of the rows of predictions.
COLUMNS = (
    *("path", "true", "predicted", "correct", "true_probability", "predicted_probability"),
    *("margin", "entropy", "split"),
)
#: Separator of the class names of a multi-label image.
SEPARATOR = "|"


@dataclass(frozen=True, eq=False)
class SplitPredictions:
    """Predictions for the images of one split or test set.

    Args:
        split: Its name, such as "test" or "base".
        classnames: The names of the classes.
        paths: The path of each image, or its key if it is no file.
        labels: The true classes of each image: one, or several for multi-label data.
        log_probabilities: float64 `(n, C)`.
    """

    split: str
    classnames: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    log_probabilities: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float64 `(n, C)`."""
        return np.exp(self.log_probabilities)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image, `(n,)`."""
        return self.log_probabilities.argmax(1)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether the predicted class is a true class of each image, bool `(n,)`."""
        return np.array([p in ys for p, ys in zip(self.predicted.tolist(), self.labels, strict=True)], dtype=bool)

    @property
    def multi_label(self) -> bool:
        """Whether an image has several true classes."""
        return any(len(ys) != 1 for ys in self.labels)

    @cached_property
    def true(self) -> np.ndarray:
        """The true class of each image, `(n,)`; of a multi-label image, the most probable of its classes."""
        rows = zip(self.log_probabilities, self.labels, strict=True)
        return np.array([max(ys, key=row.__getitem__) for row, ys in rows], dtype=np.int64)

    def scaled(self, temperature: float) -> SplitPredictions:
        """The predictions with logits divided by `temperature`."""
        return replace(self, log_probabilities=log_softmax(self.log_probabilities / temperature))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax of logits `(n, C)`, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def margins(probabilities: np.ndarray) -> np.ndarray:
    """Difference of the two largest probabilities of each row of `(n, C)`."""
    best = np.partition(probabilities, -2, axis=1)
    return best[:, -1] - best[:, -2]


def entropies(log_probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of `(n, C)`."""
    return -(np.exp(log_probabilities) * np.where(np.isfinite(log_probabilities), log_probabilities, 0.0)).sum(1) + 0.0


def prediction_rows(splits: Sequence[SplitPredictions]) -> list[Mapping[str, Any]]:
    """A row with `COLUMNS` for each image.

    `margin` is the difference of the two largest probabilities and `entropy` that of all probabilities in nats. Class
    names of a multi-label image are joined by `SEPARATOR`, and its true class is the most probable of them.
    """
    rows = []
    for part in splits:
        names, probabilities = part.classnames, part.probabilities
        values = zip(
            *(part.paths, part.labels, part.true.tolist(), part.predicted.tolist(), part.correct.tolist()),
            *(probabilities, margins(probabilities).tolist(), entropies(part.log_probabilities).tolist()),
            strict=True,
        )
        for path, labels, true, predicted, correct, p, margin, entropy in values:
            cells = (
                *(path, SEPARATOR.join(names[y] for y in labels), names[predicted], correct),
                *(float(p[true]), float(p[predicted]), margin, entropy, part.split),
            )
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows
