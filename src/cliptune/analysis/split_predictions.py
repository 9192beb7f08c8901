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
    """Predictions for the images of one split or test set: a few numbers per image, not the probability of each class.

    Args:
        split: Its name, such as "test" or "base".
        classnames: The names of the classes.
        paths: The path of each image, or its key if it is no file.
        labels: The true classes of each image: one, or several for multi-label data.
        predicted: int64 `(n,)`, the most probable class of each image.
        true: int64 `(n,)`, the true class of each image; of a multi-label image, the most probable of its classes.
        predicted_log: float64 `(n,)`, the logarithm of the probability of `predicted`.
        true_log: The same of `true`.
        margin: float64 `(n,)`, the difference of the two largest probabilities.
        entropy: float64 `(n,)`, the entropy of the probabilities in nats.
    """

    split: str
    classnames: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    predicted: np.ndarray
    true: np.ndarray
    predicted_log: np.ndarray
    true_log: np.ndarray
    margin: np.ndarray
    entropy: np.ndarray

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether the predicted class is a true class of each image, bool `(n,)`."""
        return np.array([p in ys for p, ys in zip(self.predicted.tolist(), self.labels, strict=True)], dtype=bool)

    @property
    def multi_label(self) -> bool:
        """Whether an image has several true classes."""
        return any(len(ys) != 1 for ys in self.labels)


@dataclass(frozen=True, eq=False)
class SplitProbabilities:
    """The probabilities of all classes for the images of one split or test set, or of a batch of them.

    Args:
        split, classnames, paths, labels: As of `SplitPredictions`.
        log_probabilities: float64 `(n, C)`.
    """

    split: str
    classnames: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    log_probabilities: np.ndarray

    @cached_property
    def predictions(self) -> SplitPredictions:
        """The predictions."""
        logs, probabilities = self.log_probabilities, np.exp(self.log_probabilities)
        pairs = zip(logs, self.labels, strict=True)
        true = np.array([max(ys, key=row.__getitem__) for row, ys in pairs], dtype=np.int64)
        predicted, rows = logs.argmax(1), np.arange(len(logs))
        chosen = predicted, true, logs[rows, predicted], logs[rows, true]
        described = self.split, self.classnames, self.paths, self.labels
        return SplitPredictions(*described, *chosen, _margins(probabilities), _entropies(logs))

    def scaled(self, temperature: float) -> SplitProbabilities:
        """The probabilities with logits divided by `temperature`."""
        return replace(self, log_probabilities=log_softmax(self.log_probabilities / temperature))


def joined(batches: Sequence[SplitPredictions]) -> SplitPredictions:
    """The predictions of a split from those of its batches, at least one."""
    arrays = ("predicted", "true", "predicted_log", "true_log", "margin", "entropy")
    return replace(
        batches[0],
        paths=tuple(path for one in batches for path in one.paths),
        labels=tuple(labels for one in batches for labels in one.labels),
        **{name: np.concatenate([getattr(one, name) for one in batches]) for name in arrays},
    )


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithm of the softmax of logits `(n, C)`, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _margins(probabilities: np.ndarray) -> np.ndarray:
    """Difference of the two largest probabilities of each row of `(n, C)`."""
    best = np.partition(probabilities, -2, axis=1)
    return best[:, -1] - best[:, -2]


def _entropies(log_probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats of each row of `(n, C)`."""
    return -(np.exp(log_probabilities) * np.where(np.isfinite(log_probabilities), log_probabilities, 0.0)).sum(1) + 0.0


def prediction_rows(splits: Sequence[SplitPredictions]) -> list[Mapping[str, Any]]:
    """A row with `COLUMNS` for each image.

    `margin` is the difference of the two largest probabilities and `entropy` that of all probabilities in nats. Class
    names of a multi-label image are joined by `SEPARATOR`, and its true class is the most probable of them.
    """
    rows = []
    for part in splits:
        names = part.classnames
        values = zip(
            *(part.paths, part.labels, part.predicted.tolist(), part.correct.tolist()),
            *(np.exp(part.true_log).tolist(), np.exp(part.predicted_log).tolist()),
            *(part.margin.tolist(), part.entropy.tolist()),
            strict=True,
        )
        for path, labels, predicted, *numbers in values:
            cells = (path, SEPARATOR.join(names[y] for y in labels), names[predicted], *numbers, part.split)
            rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows
