"""The numbers of a table's cells: means and deviations over seeds, harmonic means, gaps."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cliptune.errors import UserError
from cliptune.results.columns import BACKGROUNDS
from cliptune.results.labels import natural_sort_key
from cliptune.types import Result

#: Variants of test sets that records call otherwise than people: name in records -> name in tables, pages and CSV.
DISPLAY_NAMES = {b.suffix[1:]: b.name for b in BACKGROUNDS if b.suffix[1:] not in ("", b.name)}


@dataclass(frozen=True)
class Cell:
    """One number of a table: mean over `seeds` seeds; `std` with ddof = 1, None where it has no meaning.

    p: of a difference, how probable one as far from nothing would be by chance, where it was tested.
    """

    mean: float
    std: float | None
    seeds: int
    p: float | None = None


def metric_names(results: Iterable[Result]) -> tuple[str, ...]:
    """Those measured, "hm" where base and novel are, "<set>/gap" where same and swapped backgrounds are; all of them
    also as they were at an epoch on the way, "base@5"."""
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
    """The metrics asked for by either of their names, or where None are, those of whole test sets.

    Raises `UserError` for one that no result has.
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
    """The test set of a metric, and the rest: "/same" of "base/same", "@5" of "base@5", "/map@5"."""
    part = re.match("[^/@]*", name)
    end = part.end() if part else 0
    return name[:end], name[end:]


def display_name(name: str) -> str:
    """What people read for a metric of the records: "base/swapped" for "base/swap", also of a column made of it,
    "base/swap@5", "base/swap[16]"."""
    return _rename(name, DISPLAY_NAMES)


def record_name(name: str) -> str:
    """The metric of the records that `called` names; names of the records stay."""
    return _rename(name, {shown: name for name, shown in DISPLAY_NAMES.items()})


def _rename(name: str, names: Mapping[str, str]) -> str:
    variants = "|".join(names)
    return re.sub(rf"^([^/@\[]*/)({variants})(?![a-z])", lambda found: found[1] + names[found[2]], name)


def is_whole_test_set(name: str) -> bool:
    """Whether a metric is of a whole test set at the end of training, not of one of its variants."""
    return split_metric(name)[1] in ("", "/map", "/joint")


def aggregate_runs(runs: Iterable[Result], name: str) -> Cell | None:
    """A metric of runs that differ in their seeds; None if none of them has it."""
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
    """The average over data sets, each its runs; of hm, the harmonic mean of the averages. None if one lacks it."""
    part, rest = split_metric(name)
    if part == "hm" and not any(name in run.metrics for runs in groups for run in runs):
        return harmonic_mean(*(aggregate_datasets(groups, f"{which}{rest}") for which in ("base", "novel")))
    cells = [cell for runs in groups if (cell := aggregate_runs(runs, name)) is not None]
    if len(cells) < len(groups):
        return None
    return Cell(statistics.fmean(cell.mean for cell in cells), None, min(cell.seeds for cell in cells))


def harmonic_mean(base: Cell | None, novel: Cell | None) -> Cell | None:
    """Harmonic mean of the two averages, as the papers have it; it has no deviation of its own."""
    if base is None or novel is None:
        return None
    total = base.mean + novel.mean
    return Cell(2 * base.mean * novel.mean / total if total else 0.0, None, min(base.seeds, novel.seeds))


def mean_over_seeds(values: Iterable[float]) -> Cell | None:
    """Mean and standard deviation (ddof = 1); exactly the same for any order of the values."""
    numbers = sorted(values)
    if not numbers:
        return None
    return Cell(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def _metric_sort_key(name: str) -> tuple:
    """Sort key: whole sets before their variants, base before novel before their mean, backgrounds in their order, the
    source before the targets before their average."""
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
