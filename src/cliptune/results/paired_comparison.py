"""Compare methods with a baseline by differences paired over seeds, with significance tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Literal

from cliptune.errors import UserError
from cliptune.results import t_distribution
from cliptune.results.aggregate import Cell, aggregate_runs, select_metrics
from cliptune.results.labels import label_methods, method_order, num_shots, setting_sort_key, uses_pool
from cliptune.results.summary import Row, Table, group_runs, mark_notes
from cliptune.types import Result

#: Minimum number of shared seeds for a difference to be reported.
MIN_SEEDS = 3
PairedTest = Literal["t", "flips"]


def compare_to_baseline(
    results: Sequence[Result],
    baseline: str,
    metrics: Sequence[str] | None = None,
    test: PairedTest = "t",
    apart: Sequence[str] = (),
) -> Table:
    """Difference of each method from `baseline` with the same data, shots and seeds: mean, standard error and p-value.

    Cells with fewer than `MIN_SEEDS` shared seeds are empty.

    Args:
        results: the results of all runs.
        baseline: the method to compare with.
        metrics: as in `summarise`.
        test: "t" for the paired t test, "flips" for the exact sign-flip test. P-values are Holm-corrected for all
            comparisons in the table.
        apart: settings that are key columns and must agree within a comparison.

    Raises:
        UserError: if there is nothing to compare.
    """
    names = select_metrics(results, metrics)
    named = label_methods(results, apart)
    methods = method_order(named)
    if baseline not in methods:
        raise UserError(f"no result has the method {baseline!r} to compare with; known: {', '.join(methods)}")
    runs = {
        (data, shots, *more, method): {run.seed: run for run in method_runs}
        for (data, method, shots, *more), method_runs in group_runs(named, apart).items()
    }
    rows, notes = [], dict[str, None]()
    for place in sorted({key[:-1] for key in runs}, key=_row_sort_key):
        data, shots, *more = place
        for method in methods:
            mine, theirs = runs.get((*place, method)), _baseline_runs(runs, place, baseline)
            if method == baseline or mine is None:
                continue
            pairs = _paired_runs(mine, theirs)
            settings = dict(zip(apart, more, strict=True))
            if len(pairs) < MIN_SEEDS:
                where = _describe_place(f"{method} on {data}", shots, settings)
                notes[_missing_reason(where, baseline, len(pairs), mine, theirs)] = None
            cells = tuple(_difference_cell(pairs, name, test) for name in names)
            rows.append(Row(method, data, shots, len(pairs), cells, settings, any(map(uses_pool, mine.values()))))
    if not rows:
        raise UserError(f"there is no method other than {baseline} to compare")
    rows = _with_corrected_p(rows)
    keys = ("method", "data", "shots", *apart, "seeds")
    return Table(
        names,
        tuple(rows),
        (*_footnotes(baseline, rows, test), *mark_notes(results), *notes),
        keys,
        "se",
        differences=True,
    )


def _row_sort_key(place: tuple) -> tuple:
    data, shots, *more = place
    return data, -1 if shots is None else shots, [setting_sort_key(value) for value in more]


def _baseline_runs(runs: Mapping[tuple, dict[int, Result]], place: tuple, baseline: str) -> dict[int, Result]:
    """The runs of the baseline; for a training-free baseline, those of any number of shots."""
    if (*place, baseline) in runs:
        return runs[*place, baseline]
    others = [
        candidates for key, candidates in sorted(runs.items(), key=str) if key[0] == place[0] and key[-1] == baseline
    ]
    untrained = [c for c in others if all(r.cost.get("parameters", 1) == 0 for r in c.values())]
    return untrained[0] if untrained else {}


def _paired_runs(mine: Mapping[int, Result], theirs: Mapping[int, Result]) -> list[tuple[Result, Result]]:
    """Comparable runs of two methods with the same seed, in order of seeds."""
    pairs = [(mine[seed], theirs[seed]) for seed in sorted(mine.keys() & theirs.keys())]
    return [pair for pair in pairs if _is_comparable(*pair)]


def _is_comparable(one: Result, other: Result) -> bool:
    """Whether two runs used the same data or, for different shots, as many test images; assumed if not recorded."""
    key = "data_fingerprint" if num_shots(one) == num_shots(other) else "test_images"
    recorded = [r.provenance[key] for r in (one, other) if key in r.provenance]
    return len(recorded) < 2 or recorded[0] == recorded[1]


def _difference_cell(pairs: Sequence[tuple[Result, Result]], name: str, test: PairedTest) -> Cell | None:
    values = [(aggregate_runs([mine], name), aggregate_runs([theirs], name)) for mine, theirs in pairs]
    gained = sorted(mine.mean - theirs.mean for mine, theirs in values if mine is not None and theirs is not None)
    if len(gained) < MIN_SEEDS:
        return None
    mean, std = statistics.fmean(gained), statistics.stdev(gained)
    return Cell(
        mean, std, len(gained), _sign_flip_p(gained) if test == "flips" else _paired_t_p(mean, std, len(gained))
    )


def _paired_t_p(mean: float, std: float, n: int) -> float | None:
    """P-value of the paired t test; None if all differences are equal and not 0, since the variance is 0."""
    if std < 1e-9:
        return 1.0 if abs(mean) < 1e-9 else None
    return t_distribution.two_sided_p(mean / (std / math.sqrt(n)), n - 1)


def _sign_flip_p(gained: Sequence[float]) -> float:
    """P-value of the exact test: the share of sign assignments whose sum is at least as far from 0."""
    total = abs(math.fsum(gained)) - 1e-9
    sizes = [abs(value) for value in gained]
    ways = [
        abs(math.fsum(sign * size for sign, size in zip(signs, sizes, strict=True))) for signs in _signs(len(sizes))
    ]
    return sum(way >= total for way in ways) / len(ways)


def _signs(n: int):
    if n > 16:
        raise UserError(f"the exact test supports at most 16 seeds, got {n}; use --test t")
    return product((-1, 1), repeat=n)


def holm_correction(found: Sequence[float]) -> dict[float, float]:
    """Map each p-value to its Holm correction: the smallest times n, the next times n - 1, ..., never decreasing."""
    corrected: dict[float, float] = {}
    running = 0.0
    for i, p in enumerate(sorted(found)):
        running = max(running, min(1.0, (len(found) - i) * p))
        corrected.setdefault(p, running)
    return corrected


def _with_corrected_p(rows: Sequence[Row]) -> list[Row]:
    """The rows with p-values corrected for all comparisons in them."""
    corrected = holm_correction(
        [cell.p for row in rows for cell in row.cells if cell is not None and cell.p is not None]
    )

    def correct(cell: Cell | None) -> Cell | None:
        return cell if cell is None or cell.p is None else replace(cell, p=corrected[cell.p])

    return [replace(row, cells=tuple(map(correct, row.cells))) for row in rows]


def _describe_place(name: str, shots: int | None, settings: Mapping[str, object]) -> str:
    """A comparison in words, such as "coop on emoji, 4 shots, fraction 0.5"."""
    parts = [] if shots is None else [f"{'all' if shots == 0 else shots} shots"]
    return ", ".join([name, *parts, *(f"{key} {value}" for key, value in settings.items())])


def _missing_reason(where: str, baseline: str, common: int, mine: dict[int, Result], theirs: dict[int, Result]) -> str:
    if not theirs:
        return f"No difference for {where}: {baseline} was not run there."
    if len(mine.keys() & theirs.keys()) > common:
        return f"No difference for {where}: {baseline} was trained or tested on other images."
    seeds = f"{common} seed{'' if common == 1 else 's'}"
    return f"No difference for {where}: it shares {seeds} with {baseline}, fewer than {MIN_SEEDS}."


def _footnotes(baseline: str, rows: Sequence[Row], test: PairedTest) -> list[str]:
    tests = sum(cell is not None and cell.p is not None for row in rows for cell in row.cells)
    how = "paired t test" if test == "t" else "exact sign-flip test"
    notes = [f"Difference from {baseline} in points with the same data, shots and seeds: mean ± its standard error."]
    if tests:
        notes.append(
            f"p: two-sided {how}, Holm-corrected for the {tests} comparisons in this table. It covers variation over "
            "seeds (training images, initial values), not over test images."
        )
    least = min((cell.seeds for row in rows for cell in row.cells if cell is not None), default=MIN_SEEDS)
    if tests and test == "t" and least < 6:
        notes.append(
            "With few seeds the t test depends on normally distributed differences; the exact test (--test flips) does "
            f"not, but with {least} seeds its p-value is at least {2 / 2**least:.4g}."
        )
    if any(cell is not None and cell.p is None for row in rows for cell in row.cells):
        notes.append("No p-value where the difference is the same for all seeds, since its variance is 0.")
    return notes
