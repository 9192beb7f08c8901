"""Summarise records as a table of means and deviations over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cliptune.errors import UserError
from cliptune.html_repr import html_repr
from cliptune.results import t_distribution
from cliptune.results.aggregate import Cell as Cell
from cliptune.results.aggregate import aggregate_datasets, aggregate_runs, mean_over_seeds, select_metrics
from cliptune.results.aggregate import metric_names as metric_names
from cliptune.results.columns import COST_COLUMNS
from cliptune.results.labels import get_setting, label_methods, method_order, num_shots, setting_sort_key, uses_pool
from cliptune.types import Result

KEY_COLUMNS = ("method", "data", "shots", "seeds")
#: Value of the data column in rows that average over all datasets.
AVERAGE = "average"
#: What follows a mean: standard deviation, half-width of the 95 % confidence interval, or standard error.
Spread = Literal["std", "ci95", "se"]
#: Footnotes on what follows ±.
SPREAD_NOTES: dict[Spread, str] = {
    "std": "± is the standard deviation over seeds (ddof = 1).",
    "ci95": "± is the 95 % interval of the mean over n seeds: Student's t with n - 1 degrees of freedom times "
    "standard deviation (ddof = 1) / sqrt(n).",
    "se": "± is the standard error of the mean over n seeds: standard deviation (ddof = 1) / sqrt(n).",
}

#: Footnotes on marked rows, by the entry of the record.
MARK_NOTES = {
    "transductive": "Transductive: training saw unlabelled images of the test classes or of the target, which "
    "other methods do not see.",
    "epoch_chosen_on": "Epoch chosen on test: the best of all epochs on test images, as in the released code, so the "
    "accuracy is too high.",
}


@dataclass(frozen=True)
class Row:
    """One method on one dataset with one number of shots; `cells` are in the order of the table's columns.

    `more` contains further keys: the seed or settings. pool: Whether all images were used without labels, whatever
    `shots`.
    """

    method: str
    data: str
    shots: int | None
    seeds: int
    cells: tuple[Cell | None, ...]
    more: Mapping[str, Any] = field(default_factory=dict)
    pool: bool = False


@dataclass(frozen=True, repr=False)
class Table:
    """A table of results.

    Args:
        columns: names of the metrics (percent), then of the costs.
        rows: the rows.
        footnotes: how the values were computed.
        keys: the columns before the values.
        spread: what follows a mean.
        differences: whether values are differences, written with a sign.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    keys: tuple[str, ...] = KEY_COLUMNS
    spread: Spread = "std"
    differences: bool = False

    def __repr__(self) -> str:
        return f"<table of {len(self.rows)} rows: {', '.join((*self.keys, *self.columns))}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "tables:result_table_html")


def summarise(
    results: Sequence[Result],
    metrics: Sequence[str] | None = None,
    *,
    cost: bool = False,
    apart: Sequence[str] = (),
    per_seed: bool = False,
    average: bool = False,
    spread: Spread = "std",
) -> Table:
    """Summarise results with one row per dataset, method and number of shots.

    Args:
        results: the results of all runs.
        metrics: names from `metric_names`, in this order; None selects those of whole test sets.
        cost: whether to add the cost columns that were recorded.
        apart: settings ("fraction", "training.epochs") that become key columns.
        per_seed: whether to make a row per seed instead of means.
        average: whether to add a row per method with its average over the datasets.
        spread: what follows a mean.

    Raises:
        UserError: for an unknown metric or a duplicate run.
    """
    if not results:
        raise UserError("no results to summarise: train something first")
    names = select_metrics(results, metrics)
    costs = tuple(n for n, c in COST_COLUMNS.items() if cost and any(c.of(r) is not None for r in results))
    named = label_methods(results, apart)
    groups = group_runs(named, apart, per_seed)
    by_method = _method_sort_key(method_order(named))
    rows = []
    keys = (*apart, *(("seed",) if per_seed else ()))
    for key in sorted(groups, key=lambda key: (key[0], *by_method(key[1:]))):
        data, method, shots, *more = key
        runs = groups[key]
        cells = [aggregate_runs(runs, name) for name in names]
        cells += [mean_over_seeds(v for r in runs if (v := COST_COLUMNS[c].of(r)) is not None) for c in costs]
        settings, pool = dict(zip(keys, more, strict=True)), any(map(uses_pool, runs))
        rows.append(Row(method, data, shots, len(runs), tuple(cells), settings, pool))
    notes = _footnotes(names, rows, spread, per_seed) + mark_notes(results)
    blank = sum(not result.metrics for result in results)
    if blank:
        notes.append(f"{blank} of {len(results)} runs have no test images and therefore no accuracy.")
    if average:
        wanted = sorted({key[1:] for key in groups}, key=by_method)
        averages, average_notes = _average_rows(groups, keys, names, costs, wanted)
        rows, notes = [*rows, *averages], [*notes, *average_notes]
    shown = ("method", "data", "shots", *keys, *(() if per_seed else ("seeds",)))
    return Table(names + costs, tuple(rows), tuple(notes), shown, spread)


def group_runs(
    results: Sequence[Result], apart: Sequence[str] = (), per_seed: bool = False
) -> dict[tuple, list[Result]]:
    """Group results by data, method, shots, the settings `apart` and, if `per_seed`, the seed.

    Raises `UserError` for a duplicate run.
    """
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in results:
        more = [get_setting(result, key) for key in apart] + ([result.seed] if per_seed else [])
        runs = groups[(result.data, result.method, num_shots(result), *more)]
        if any(run.seed == result.seed for run in runs):
            raise UserError(f"{result.method} on {result.data} with seed {result.seed} occurs twice; remove one record")
        runs.append(result)
    return groups


def spread_width(cell: Cell, spread: Spread) -> float | None:
    """What follows the mean of a cell; None if undefined."""
    if cell.std is None or cell.seeds < 2 or spread == "std":
        return cell.std
    error = cell.std / math.sqrt(cell.seeds)
    return error if spread == "se" else t_distribution.two_sided_quantile(0.95, cell.seeds - 1) * error


def _method_sort_key(methods: Sequence[str]) -> Callable[[tuple], tuple]:
    """A sort key of tuples (method, shots, *settings): methods in the order of `methods`."""
    order = {name: i for i, name in enumerate(methods)}
    return lambda key: (order[key[0]], -1 if key[1] is None else key[1], [setting_sort_key(value) for value in key[2:]])


def _average_rows(
    groups: Mapping[tuple, list[Result]],
    keys: Sequence[str],
    metrics: Sequence[str],
    costs: Sequence[str],
    wanted: list,
) -> tuple[list[Row], list[str]]:
    """Average rows of methods that were run on all datasets, and footnotes; nothing for a single dataset."""
    datasets = sorted({key[0] for key in groups})
    if len(datasets) < 2:
        return [], []
    rows, left = [], []
    for method, shots, *more in wanted:
        parts = [groups[key] for data in datasets if (key := (data, method, shots, *more)) in groups]
        if len(parts) < len(datasets):
            left.append(f"{method} with {'all' if shots == 0 else shots} shots")
            continue
        cells = [aggregate_datasets(parts, name) for name in metrics] + [None] * len(costs)
        seeds = min(len(runs) for runs in parts)
        settings, pool = dict(zip(keys, more, strict=True)), any(uses_pool(run) for runs in parts for run in runs)
        rows.append(Row(method, AVERAGE, shots, seeds, tuple(cells), settings, pool))
    notes = []
    if rows:
        hm = "; its HM is that of the averages on base and novel" if "hm" in metrics else ""
        notes.append(f"{AVERAGE.capitalize()}: the mean over the {len(datasets)} datasets of the means over seeds{hm}.")
    if left:
        notes.append(f"No average for methods not run on all {len(datasets)} datasets: {'; '.join(left)}.")
    return rows, notes


def mark_notes(results: Sequence[Result]) -> list[str]:
    """Footnotes on the marks after names of methods (`labels.MARKS`)."""
    return [note for entry, note in MARK_NOTES.items() if any(result.provenance.get(entry) for result in results)]


def _footnotes(metrics: Sequence[str], rows: Sequence[Row], spread: Spread, per_seed: bool) -> list[str]:
    notes = ["Accuracies are top-1, in percent."]
    cells = [(row, cell) for row in rows for cell in row.cells if cell is not None]
    if any(cell.std is not None for _, cell in cells):
        notes.append(SPREAD_NOTES[spread])
    if not per_seed and any(row.seeds == 1 for row in rows):
        notes.append("Rows with one seed have no standard deviation, so small differences may be due to chance.")
    if any(name.partition("/")[0] == "hm" for name in metrics):
        notes.append(
            "HM is the harmonic mean of base and novel."
            if per_seed
            else "HM is the harmonic mean of the averages over seeds on base and novel classes, not the average of the "
            "harmonic means of the seeds."
        )
    if any(name.endswith("/map") for name in metrics):
        notes.append(
            "Images show several classes: accuracy is the share of images that show the predicted class, map is mean "
            "average precision over classes."
        )
    if any(name.endswith("/gap") for name in metrics):
        notes.append("Gap is the accuracy on same minus swapped backgrounds in points, computed per seed.")
    if any(cell.seeds < row.seeds for row, cell in cells):
        notes.append("(n) after a value: only n seeds of the row measured it.")
    return notes
