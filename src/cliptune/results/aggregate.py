"""Metric names, and the values of table cells: means and deviations over seeds, harmonic means, gaps."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cliptune.errors import UserError
from cliptune.results.columns import BACKGROUNDS
from cliptune.results.labels import natural_sort_key
from cliptune.types import Result

#: Variants of test sets: name in records -> name in tables, reports and CSV.
DISPLAY_NAMES = {b.suffix[1:]: b.name for b in BACKGROUNDS if b.suffix[1:] not in ("", b.name)}


@dataclass(frozen=True)
class Cell:
    """A value of a table: the mean over `seeds` seeds.

    `std` is the standard deviation (ddof = 1), None if undefined. `p` is the p-value of a tested difference.
    """

    mean: float
    std: float | None
    seeds: int
    p: float | None = None


def metric_names(results: Iterable[Result]) -> tuple[str, ...]:
    """The measured metrics, plus "hm" (of base and novel) and "<set>/gap" (of same and swapped) where they follow.

    Metrics of an earlier epoch have a suffix: "base@5".
    """
    measured = {name for result in results for name in result.metrics}
    names = set(measured)
    for name in measured:
        part, rest = split_metric(name)
        if part == "base" and f"novel{rest}" in measured:
            names.add(f"hm{rest}")
        if rest.startswith("/same") and f"{part}/swap{rest.removeprefix('/same')}" in measured:
            names.add(f"{part}/gap{rest.removeprefix('/same')}")
    return tuple(sorted(names, key=_metric_sort_key))


def select_metrics(results: Iterable[Result], metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Resolve `metrics`, given by display or record names; None selects those of whole test sets.

    Raises `UserError` for a metric that no result has.
    """
    known = metric_names(results)
    if metrics is None:
        return tuple(name for name in known if is_whole_test_set(name)) or known
    for name in map(record_name, metrics):
        if name not in known:
            raise UserError(
                f"no result has the metric {display_name(name)!r}; known: {', '.join(map(display_name, known))}"
            )
    return tuple(map(record_name, metrics))


def split_metric(name: str) -> tuple[str, str]:
    """Split a metric into test set and suffix: "base/same" into "base" and "/same", "base@5" into "base" and "@5"."""
    part = re.match("[^/@]*", name)
    end = part.end() if part else 0
    return name[:end], name[end:]


def display_name(name: str) -> str:
    """The name of a metric in tables: "base/swapped" for "base/swap".

    Also for columns derived from it: "base/swap@5", "base/swap[16]".
    """
    return _rename(name, DISPLAY_NAMES)


def record_name(name: str) -> str:
    """The name of a metric in records: the inverse of `display_name`. Record names are unchanged."""
    return _rename(name, {shown: name for name, shown in DISPLAY_NAMES.items()})


def _rename(name: str, names: Mapping[str, str]) -> str:
    variants = "|".join(names)
    return re.sub(rf"^([^/@\[]*/)({variants})(?![a-z])", lambda found: found[1] + names[found[2]], name)


def is_whole_test_set(name: str) -> bool:
    """Whether a metric is measured on a whole test set at the end of training, not on a variant or earlier."""
    return split_metric(name)[1] in ("", "/map", "/joint")


def aggregate_runs(runs: Iterable[Result], name: str) -> Cell | None:
    """Aggregate a metric over runs that differ in their seeds; None if no run has it."""
    runs = list(runs)
    measured = any(name in run.metrics for run in runs)
    part, rest = split_metric(name)
    if part == "hm" and not measured:
        return harmonic_mean(*(aggregate_runs(runs, f"{which}{rest}") for which in ("base", "novel")))
    if rest.startswith("/gap") and not measured:
        end = rest.removeprefix("/gap")
        pairs = [(run.metrics.get(f"{part}/same{end}"), run.metrics.get(f"{part}/swap{end}")) for run in runs]
        return mean_over_seeds(same - swap for same, swap in pairs if same is not None and swap is not None)
    return mean_over_seeds(run.metrics[name] for run in runs if name in run.metrics)


def aggregate_datasets(groups: Sequence[Sequence[Result]], name: str) -> Cell | None:
    """Average a metric over datasets, given the runs on each; None if one is missing. hm is that of the averages."""
    part, rest = split_metric(name)
    if part == "hm" and not any(name in run.metrics for runs in groups for run in runs):
        return harmonic_mean(*(aggregate_datasets(groups, f"{which}{rest}") for which in ("base", "novel")))
    cells = [cell for runs in groups if (cell := aggregate_runs(runs, name)) is not None]
    if len(cells) < len(groups):
        return None
    return Cell(statistics.fmean(cell.mean for cell in cells), None, min(cell.seeds for cell in cells))


def harmonic_mean(base: Cell | None, novel: Cell | None) -> Cell | None:
    """Harmonic mean of the two averages, as in the papers; its deviation is undefined."""
    if base is None or novel is None:
        return None
    total = base.mean + novel.mean
    return Cell(2 * base.mean * novel.mean / total if total else 0.0, None, min(base.seeds, novel.seeds))


def mean_over_seeds(values: Iterable[float]) -> Cell | None:
    """Mean and standard deviation (ddof = 1), independent of the order of the values. None without values."""
    numbers = sorted(values)
    if not numbers:
        return None
    return Cell(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def _metric_sort_key(name: str) -> tuple:
    """Sort key: whole test sets before variants; base, novel, hm; backgrounds in order; source, targets, average."""
    part, rest = split_metric(name)
    variant, _, epoch = rest.removeprefix("/").partition("@")
    sets, variants = ("base", "novel", "hm", "source"), ("", "same", "swap", "none", "gap")
    rank = sets.index(part) if part in sets else len(sets) + (part == "average")
    place = variants.index(variant) if variant in variants else len(variants)
    return (
        bool(rest),
        bool(variant),
        rank,
        natural_sort_key(part),
        place,
        natural_sort_key(variant),
        natural_sort_key(epoch),
    )
