"""Sampling error of accuracies on finite test sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cliptune.results.aggregate import aggregate_runs, split_metric
from cliptune.types import Result


def sampling_error(runs: Sequence[Result], metric: str) -> float | None:
    """Standard error, in points, of a mean accuracy over runs on the same test images.

    Binomial for a test set, by the delta method for hm, combined over test sets for an average. None if no run records
    the number of test images.
    """
    counts = next((n for run in runs if isinstance(n := run.provenance.get("test_images"), dict)), {})
    part, rest = split_metric(metric)
    if part == "hm":
        base, novel = (aggregate_runs(runs, f"{side}{rest}") for side in ("base", "novel"))
        errors = [sampling_error(runs, f"{side}{rest}") for side in ("base", "novel")]
        if base is None or novel is None or None in errors or not base.mean + novel.mean:
            return None
        slopes = [2 * (other.mean / (base.mean + novel.mean)) ** 2 for other in (novel, base)]
        return math.hypot(*(slope * error for slope, error in zip(slopes, errors, strict=True) if error is not None))
    if part == "average":
        sets = [name for name in counts if name != "source" and "/" not in name]
        errors = [error for name in sets if (error := sampling_error(runs, f"{name}{rest}")) is not None]
        return math.hypot(*errors) / len(errors) if errors and len(errors) == len(sets) else None
    images, cell = counts.get(part if rest.startswith("@") else metric), aggregate_runs(runs, metric)
    if not images or cell is None or not 0 <= cell.mean <= 100:
        return None
    return math.sqrt(cell.mean * (100 - cell.mean) / images)
