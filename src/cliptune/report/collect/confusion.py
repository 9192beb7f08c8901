"""Collect confusion counts from restored models."""

from __future__ import annotations

import torch

from cliptune.report.collect.models import RestoredModels, predict_test_set
from cliptune.report.confusion import ConfusionCounts

#: Whole test sets for which confusion is counted.
WHOLE_TEST_SETS = ("base", "novel", "test")


def collect_confusion(held: RestoredModels, limit: int = 500) -> list[ConfusionCounts]:
    """Count predictions on at most `limit` images of each whole test set, or of the first test set if there is none."""
    there = [name for name, test in held.task.tests.items() if test.examples]
    wanted = [name for name in WHOLE_TEST_SETS if name in there] or there[:1]
    found = []
    for name in wanted:
        said = predict_test_set(held, name, limit)
        n = len(said.test.classnames)
        counts = {
            label: torch.bincount(said.labels * n + probabilities.argmax(1), minlength=n * n).view(n, n).tolist()
            for label, probabilities in said.probabilities.items()
        }
        found.append(ConfusionCounts(name, said.test.classnames, held.untuned, counts))
    return found
