"""Means and deviations over seeds: from records to a table's numbers."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cliptune.errors import UserError
from cliptune.results.variants import labelled, method_order, natural, shots_of
from cliptune.types import Result

#: Background of a test picture -> suffix of the metric: "base/swap" is accuracy on base with swapped backgrounds.
BACKGROUNDS = {"original": "", "same": "/same", "swapped": "/swap", "plain": "/none"}
COSTS = ("parameters", "seconds", "cpu_seconds", "peak_memory_mib")


@dataclass(frozen=True)
class Cell:
    """One number of a table: mean over `seeds` seeds; `std` with ddof = 1, None where it has no meaning."""

    mean: float
    std: float | None
    seeds: int


@dataclass(frozen=True)
class Row:
    """One method on one data set with one number of shots; `cells` are in the order of the table's columns."""

    method: str
    data: str
    shots: int | None
    seeds: int
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """`columns` names the metrics (percent), then the costs; `footnotes` say how the numbers were made."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]


def summarise(results: Sequence[Result], metrics: Sequence[str] | None = None, *, cost: bool = False) -> Table:
    """One row for each (data, method, shots), by data; methods that learn nothing first, wrappers after their base.

    metrics: names from `metric_names`, in this order; None takes those of whole test sets.
    cost: adds learned parameters, seconds of training and peak memory in MiB, where recorded.
    Raises `UserError` for an unknown metric, and when one run is there twice.
    """
    if not results:
        raise UserError("there is no result to summarise: train something first")
    known = metric_names(results)
    chosen = tuple(metrics) if metrics is not None else tuple(n for n in known if is_whole(n)) or known
    for name in chosen:
        if name not in known:
            raise UserError(f"no result has the metric {name!r}; known: {', '.join(known)}")
    costs = tuple(c for c in COSTS if cost and any(c in r.cost for r in results))
    named = labelled(results)
    groups: dict[tuple[str, str, int | None], dict[int, Result]] = defaultdict(dict)
    for result in named:
        seeds = groups[result.data, result.method, shots_of(result)]
        if result.seed in seeds:
            raise UserError(
                f"{result.method} on {result.data} with seed {result.seed} is there twice; keep one of the two"
            )
        seeds[result.seed] = result
    order = {name: i for i, name in enumerate(method_order(named))}
    rows = []
    for data, method, shots in sorted(groups, key=lambda g: (g[0], order[g[1]], -1 if g[2] is None else g[2])):
        runs = groups[data, method, shots].values()
        cells = [_cell(runs, name) for name in chosen] + [
            _over_seeds(r.cost[c] for r in runs if c in r.cost) for c in costs
        ]
        rows.append(Row(method, data, shots, len(runs), tuple(cells)))
    return Table(chosen + costs, tuple(rows), _footnotes(chosen, rows))


def metric_names(results: Iterable[Result]) -> tuple[str, ...]:
    """Those measured, "hm" where base and novel are, "<set>/gap" where same and swapped backgrounds are."""
    measured = {name for result in results for name in result.metrics}
    names = set(measured)
    for name in measured:
        part, slash, variant = name.partition("/")
        if part == "base" and f"novel{slash}{variant}" in measured:
            names.add(f"hm{slash}{variant}")
        if slash and variant == "same" and f"{part}/swap" in measured:
            names.add(f"{part}/gap")
    return tuple(sorted(names, key=_place))


def is_whole(name: str) -> bool:
    """Whether a metric is of a whole test set, not of one of its variants."""
    return name.partition("/")[2] in ("", "map")


def _place(name: str) -> tuple:
    """Sort key: whole sets before their variants, base before novel before their mean, backgrounds in their order."""
    part, slash, variant = name.partition("/")
    sets, variants = ("base", "novel", "hm"), ("", "same", "swap", "none", "gap")
    rank = (sets.index(part) if part in sets else len(sets), natural(part))
    return bool(slash), rank, variants.index(variant) if variant in variants else len(variants), natural(variant)


def _cell(runs: Iterable[Result], name: str) -> Cell | None:
    part, slash, variant = name.partition("/")
    if part == "hm" and not any(name in run.metrics for run in runs):
        base, novel = (_cell(runs, f"{which}{slash}{variant}") for which in ("base", "novel"))
        return None if base is None or novel is None else _harmonic(base, novel)
    if variant == "gap" and not any(name in run.metrics for run in runs):
        pairs = [(run.metrics.get(f"{part}/same"), run.metrics.get(f"{part}/swap")) for run in runs]
        return _over_seeds(same - swap for same, swap in pairs if same is not None and swap is not None)
    return _over_seeds(run.metrics[name] for run in runs if name in run.metrics)


def _harmonic(base: Cell, novel: Cell) -> Cell:
    """Harmonic mean of the two averages, as the papers have it; it has no deviation of its own."""
    total = base.mean + novel.mean
    return Cell(2 * base.mean * novel.mean / total if total else 0.0, None, min(base.seeds, novel.seeds))


def _over_seeds(values: Iterable[float]) -> Cell | None:
    """Mean and standard deviation (ddof = 1); exactly the same for any order of the values."""
    numbers = sorted(values)
    if not numbers:
        return None
    return Cell(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def _footnotes(metrics: Sequence[str], rows: Sequence[Row]) -> tuple[str, ...]:
    notes = ["Accuracies are top-1, in percent."]
    cells = [(row, cell) for row in rows for cell in row.cells if cell is not None]
    if any(cell.std is not None for _, cell in cells):
        notes.append("± is the standard deviation over seeds (ddof = 1).")
    if any(row.seeds == 1 for row in rows):
        notes.append("A row of one seed has no standard deviation: its differences may be chance.")
    if any(name.partition("/")[0] == "hm" for name in metrics):
        notes.append(
            "HM is the harmonic mean of the seeds' averages on base and novel classes, not the average of each seed's."
        )
    if any(name.endswith("/map") for name in metrics):
        notes.append(
            "Pictures show several classes: accuracy is how often the best answer is in the picture, map is mean "
            "average precision over the classes."
        )
    if any(name.endswith("/gap") for name in metrics):
        notes.append("Gap is accuracy with same minus with swapped backgrounds, taken seed by seed, in points.")
    if any(cell.seeds < row.seeds for row, cell in cells):
        notes.append("(n) after a number: only n of the row's seeds measured it.")
    return tuple(notes)
