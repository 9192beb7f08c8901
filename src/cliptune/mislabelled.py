"""Likely mislabelled images of a dataset, from the predictions of runs that were not trained on them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cliptune import inspection, model_io
from cliptune.analysis.label_errors import likely_label_errors
from cliptune.analysis.split_predictions import SplitProbabilities
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.external_code import AllowCode
from cliptune.types import Task

#: Columns of the table of likely mislabelled images.
COLUMNS = ("path", "label", "suggested", "label_probability", "suggested_probability", "runs", "agreeing")


@dataclass(frozen=True)
class Mislabelled:
    """The result of `find_mislabelled`.

    Args:
        rows: A row with `COLUMNS` for each image that is likely mislabelled, the likeliest first. Probabilities are
            means over the runs that were not trained on the image, `runs` is their number, and `agreeing` how many of
            them predict the suggested class.
        judged: Number of images that at least one run was not trained on.
        images: Number of images in the data.
        runs: Number of runs.
    """

    rows: tuple[dict[str, object], ...]
    judged: int
    images: int
    runs: int


def find_mislabelled(
    folders: Sequence[Path], watchers: Sequence[Watcher] = (), allow_code: AllowCode = False
) -> Mislabelled:
    """Find likely label errors by confident learning (see `analysis.label_errors`) on the mean probabilities of runs.

    Each run judges the images that it was not trained on: test and validation images, and training images that were not
    drawn for it. Runs with other seeds therefore judge other images.

    Args:
        folders: Run directories of the same data.
        watchers: Receive the number of images done.
        allow_code: As for `model_io.load_model`.

    Raises:
        UserError: If the runs are of different data, do not train on all classes, or images have several classes.
    """
    parts = [_unseen_predictions(folder, watchers, allow_code) for folder in folders]
    names, images = parts[0].classnames, parts[0].images
    for folder, part in zip(folders, parts, strict=True):
        if part.classnames != names or part.images != images:
            raise UserError(f"the runs in {folders[0]} and {folder} are of different data; name runs of the same data")
    found = [part for run in parts for part in run.splits]
    if any(part.predictions.multi_label for part in found):
        raise UserError(
            "images with several classes cannot be searched for wrong labels: the method needs one class each; use "
            "data with one label per image"
        )
    return Mislabelled(tuple(rank(found)), len({p for part in found for p in part.paths}), len(images), len(parts))


def rank(splits: Sequence[SplitProbabilities]) -> list[dict[str, object]]:
    """Rows with `COLUMNS` for the images of splits of one or several runs with the same classes."""
    sums: dict[str, np.ndarray] = {}
    labels: dict[str, int] = {}
    counts: Counter[str] = Counter()
    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for part in splits:
        for path, label, row, best in zip(
            part.paths, part.labels, np.exp(part.log_probabilities), part.predictions.predicted.tolist(), strict=True
        ):
            sums[path] = sums[path] + row if path in sums else row
            labels[path] = label[0]
            counts[path] += 1
            votes[path][best] += 1
    if not sums:
        return []
    names, paths = splits[0].classnames, list(sums)
    means = np.stack([sums[path] / counts[path] for path in paths])
    rows = []
    for error in likely_label_errors(means, [labels[path] for path in paths]):
        path = paths[error.index]
        shares = (float(means[error.index, label]) for label in (error.label, error.suggested))
        cells = (path, names[error.label], names[error.suggested], *shares, counts[path], votes[path][error.suggested])
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


@dataclass(frozen=True)
class _Unseen:
    """Predictions of a run for images that it was not trained on; the class names and all images of its data."""

    classnames: tuple[str, ...]
    images: frozenset[str]
    splits: Sequence[SplitProbabilities]


def _unseen_predictions(folder: Path, watchers: Sequence[Watcher], allow_code: AllowCode) -> _Unseen:
    model, run = model_io.load_model(folder, allow_code=allow_code)
    whole = inspection.with_all_images(run, model_io.load_task(folder, run, model.classnames), folder)
    task = unseen_task(whole, run.method.trains)
    keys = frozenset(e.key for test in whole.tests.values() for e in test.examples)
    return _Unseen(model.classnames, keys, inspection.predict_probabilities(model, run, task, watchers))


def unseen_task(task: Task, trains: bool) -> Task:
    """A task of `inspection.with_all_images` without test sets of other data, and without training images if the method
    trains."""
    tests = {name: test for name, test in task.tests.items() if test.dataset is None and "/" not in name}
    if trains:
        tests.pop(inspection.TRAIN, None)
    return replace(task, tests=tests)
