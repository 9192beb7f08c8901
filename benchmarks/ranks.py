"""Whether the order of methods repeats on other data: rank correlations with 95 % intervals over methods.

.venv/bin/python benchmarks/ranks.py        from the records kept in benchmarks/results and the published results
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from keep import RESULTS
from scipy.stats import rankdata

from cliptune.files import write_text
from cliptune.results import published, store, summary

METRICS = ("base", "novel", "hm")
#: Resamples of the methods for an interval.
RESAMPLES = 10_000
#: With fewer methods in common, an interval over methods says nothing.
MIN_METHODS = 5
Values = Mapping[str, float]


def measured(folder: Path, metric: str) -> Values:
    """Method -> mean over seeds of the records in a folder; labels with settings are no methods of papers."""
    table = summary.summarise(store.load_results(folder), (metric,))
    return {row.method: cell.mean for row in table.rows if (cell := row.cells[0]) is not None and "," not in row.method}


def in_papers(data: str, metric: str) -> Values:
    """Method -> the first published base-to-novel result of that name."""
    found: dict[str, float] = {}
    for line in published.select_published(data=(data,), protocol="base_to_novel"):
        if line.metric == metric:
            found.setdefault(line.method, line.value)
    return found


def correlate(ours: Values, others: Values) -> tuple[int, float, float, float]:
    """Number of methods in both, Spearman's rank correlation, and the ends of its 95 % interval: percentiles over
    resamples of the methods."""
    names = sorted(ours.keys() & others.keys())
    first, second = (np.array([values[name] for name in names]) for values in (ours, others))
    if len(names) < MIN_METHODS:
        return len(names), np.nan, np.nan, np.nan
    rng = np.random.default_rng(1)
    chosen = (rng.integers(0, len(names), len(names)) for _ in range(RESAMPLES))
    with np.errstate(invalid="ignore"):  # a resample of equal values has no correlation
        found = [rank_correlation(first[i], second[i]) for i in chosen]
    low, high = np.nanpercentile(found, (2.5, 97.5))
    return len(names), rank_correlation(first, second), float(low), float(high)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def main() -> None:
    """Print the table and write it next to the records."""
    lines = [
        "| first | second | metric | methods | rank correlation | 95 % interval |",
        "| --- | --- | --- | --: | --: | --: |",
    ]
    for metric in METRICS:
        photos, drawings = measured(RESULTS / "photos" / "caltech", metric), measured(RESULTS / "emoji", metric)
        caltech, average = in_papers("caltech101", metric), in_papers("average", metric)
        for one, name, other, other_name in (
            (photos, "Caltech-101, photo", caltech, "published, Caltech-101"),
            (photos, "Caltech-101, photo", average, "published, eleven datasets"),
            (photos, "Caltech-101, photo", drawings, "drawings, tiny"),
            (drawings, "drawings, tiny", average, "published, eleven datasets"),
            (caltech, "published, Caltech-101", average, "published, eleven datasets"),
        ):
            n, rho, low, high = correlate(one, other)
            lines.append(f"| {name} | {other_name} | {metric} | {n} | {rho:.2f} | {low:.2f} to {high:.2f} |")
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    write_text(RESULTS / "photos" / "ranks.md", text)


if __name__ == "__main__":
    main()
