"""`Inspection`: the predictions of a model for images, and the tables that show where it is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cliptune.analysis.calibration import measure_calibration
from cliptune.analysis.class_accuracy import class_accuracies, confusions, surest_mistakes, wilson_interval
from cliptune.analysis.split_predictions import COLUMNS, SplitPredictions, prediction_rows
from cliptune.html_repr import html_repr
from cliptune.results.row_tables import to_table

CLASS_COLUMNS = ("split", "class", "images", "correct", "accuracy", "low", "high")
CONFUSION_COLUMNS = ("split", "true", "predicted", "count", "images", "share", "low", "high")
CALIBRATION_COLUMNS = ("split", "images", "accuracy", "confidence", "ece", "nll", "temperature")


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """The predictions of a tuned model for images.

    Tables are `pandas.DataFrame` objects if pandas is installed, otherwise plain ones: a sequence of rows, each a
    mapping, with columns under `table["name"]`.

    Args:
        metrics: Accuracy in percent per split, as `Tuned.evaluate` returns it.
        splits: The predictions per split or test set.
        temperatures: The temperature by which the logits of each split were divided; 1 if they were not.
        uncalibrated: The predictions of splits whose logits were divided, without that.
    """

    metrics: Mapping[str, float]
    splits: Sequence[SplitPredictions]
    temperatures: Mapping[str, float]
    uncalibrated: Mapping[str, SplitPredictions] = field(default_factory=dict)

    def __repr__(self) -> str:
        images = sum(len(part.paths) for part in self.splits)
        return f"<Inspection of {images:,} images: {', '.join(f'{k} {v:.1f} %' for k, v in self.metrics.items())}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "inspection:inspection_html")

    def predictions(self) -> Any:
        """One row per image.

        `path`; `true`, the true class (several are joined by "|"); `predicted`, the most probable class; `correct`;
        `true_probability` and `predicted_probability` of these two; `margin`, the difference of the two largest
        probabilities; `entropy` of the probabilities in nats; `split`.
        """
        return to_table(COLUMNS, prediction_rows(self.splits))

    def classes(self) -> Any:
        """Accuracy per class in percent, with the number of images and the 95 % interval (Wilson) from `low` to `high`.

        All three are missing for a class without images.
        """
        rows = []
        for one in (accuracy for part in self.splits for accuracy in class_accuracies(part)):
            low, high = one.interval or (None, None)
            cells = (one.split, one.name, one.images, one.correct, one.percent, low, high)
            rows.append(dict(zip(CLASS_COLUMNS, cells, strict=True)))
        return to_table(CLASS_COLUMNS, rows)

    def confusions(self) -> Any:
        """Pairs of classes that are confused, the largest shares first: `count` of the `images` images of class `true`
        are predicted as `predicted`, in percent `share`, with its 95 % interval (Wilson)."""
        rows = []
        for pair in (pair for part in self.splits for pair in confusions(part)):
            share = 100 * pair.count / pair.images, *wilson_interval(pair.count, pair.images)
            cells = (pair.split, pair.true, pair.predicted, pair.count, pair.images, *share)
            rows.append(dict(zip(CONFUSION_COLUMNS, cells, strict=True)))
        return to_table(CONFUSION_COLUMNS, rows)

    def mistakes(self, count: int = 20) -> Any:
        """The `count` wrong predictions per split with the highest probabilities, as rows of `predictions`."""
        rows = []
        for part in self.splits:
            every = prediction_rows([part])
            rows += [every[i] for i in surest_mistakes(part, count)]
        return to_table(COLUMNS, rows)

    def calibration(self) -> Any:
        """Accuracy, mean confidence and expected calibration error `ece` in percent, and the mean negative
        log-likelihood `nll` in nats, per split. Splits with several classes per image are left out."""
        rows = []
        for part in self.splits:
            if part.paths and not part.multi_label:
                found = measure_calibration(part)
                shares = (100 * value for value in (found.accuracy, found.confidence, found.error))
                cells = (part.split, found.images, *shares, found.nll, self.temperatures.get(part.split, 1.0))
                rows.append(dict(zip(CALIBRATION_COLUMNS, cells, strict=True)))
        return to_table(CALIBRATION_COLUMNS, rows)
