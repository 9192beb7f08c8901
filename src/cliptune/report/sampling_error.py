"""What chance does to an accuracy because the test images are few: standard errors, and intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cliptune.results.aggregate import aggregate_runs, split_metric
from cliptune.types import Result

#: Of the normal distribution, between whose ends 95 % lie.
NORMAL_QUANTILE_95 = 1.959963984540054


def sampling_error(runs: Sequence[Result], metric: str) -> float | None:
    """One standard error of an accuracy in percent, as runs on the same test images have it: binomial, of their mean
    accuracy. Of hm by its derivatives, of an average over its test sets. None where no run says how many images."""
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


def wilson_interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share, in percent, from `right` of `of` images; it holds for few and for all."""
    if not of:
        return 0.0, 100.0
    share, z = right / of, NORMAL_QUANTILE_95**2 / of
    middle, half = share + z / 2, math.sqrt(share * (1 - share) * z + z**2 / 4)
    return 100 * max(0.0, middle - half) / (1 + z), 100 * min(1 + z, middle + half) / (1 + z)
