"""Which method to use, in a few sentences made from the numbers alone."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliptune.report.describe import describe_training_data, join_words
from cliptune.report.sampling_error import sampling_error
from cliptune.results import t_distribution
from cliptune.results.aggregate import aggregate_runs, is_whole_test_set, metric_names
from cliptune.results.labels import label_methods, methods_that_train, num_shots
from cliptune.results.summary import group_runs
from cliptune.results.table import column_title
from cliptune.types import Result

#: What methods are ranked by, the first that is there; else the first metric of a whole test set.
RANKING_METRICS = ("hm", "average", "test")
#: With more methods than this, the best owes something to chance alone.
SELECTION_BIAS_COUNT = 4
#: Methods that can be named before they are only counted.
MAX_NAMED = 4


@dataclass(frozen=True)
class Recommendation:
    """About one data set (and number of shots): the sentence that answers, then what qualifies it."""

    heading: str
    answer: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Margin:
    """How far the best is above another on the seeds that both have: mean, and half its 95 % interval or None.

    error: One standard error of it, over the seeds, or where there is one seed, of the test images; None if unknown.
    """

    mean: float
    half: float | None
    seeds: int
    error: float | None = None

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.half is not None and self.mean > self.half

    @property
    def clear(self) -> bool:
        """Whether it is more than one standard error."""
        return self.mean > (self.error or 0)


def recommend(results: Sequence[Result]) -> list[Recommendation]:
    """One for each data set, where methods can be ranked; of several numbers of shots, for the largest."""
    results = label_methods(results)
    found = []
    for data in sorted({r.data for r in results}):
        there = [r for r in results if r.data == data]
        counts = {num_shots(r) for r in there}
        shots = 0 if 0 in counts else max(counts, key=lambda s: -1 if s is None else s)
        held = {key[1]: runs for key, runs in group_runs([r for r in there if num_shots(r) == shots]).items()}
        several = len(counts) > 1
        few = describe_training_data([r for r in there if num_shots(r) == shots])
        words = f"{data}, {few}" if few else data
        one = _recommend_for(
            held, words if several or len({r.data for r in results}) > 1 else "", methods_that_train(there)
        )
        found += [one] if one else []
    return found


def margin_over(best: Sequence[Result], other: Sequence[Result], metric: str) -> Margin:
    """`best` over `other`, seed by seed where they share seeds, else of their means."""
    one, two = ({r.seed: c.mean for r in runs if (c := aggregate_runs([r], metric))} for runs in (best, other))
    pairs = [one[seed] - two[seed] for seed in sorted(one.keys() & two.keys())]
    if len(pairs) > 1:
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        return Margin(
            statistics.fmean(pairs), t_distribution.two_sided_quantile(0.95, len(pairs) - 1) * error, len(pairs), error
        )
    mean = pairs[0] if pairs else statistics.fmean(one.values()) - statistics.fmean(two.values())
    errors = [sampling_error(runs, metric) for runs in (best, other)]
    known = [error for error in errors if error is not None]
    return Margin(mean, None, len(pairs), math.hypot(*known) if len(known) == len(errors) else None)


def _recommend_for(
    held: Mapping[str, Sequence[Result]], heading: str, learned: Mapping[str, bool]
) -> Recommendation | None:
    names = [name for name in metric_names([r for runs in held.values() for r in runs]) if is_whole_test_set(name)]
    metric = next((name for name in RANKING_METRICS if name in names), next(iter(names), None))
    if metric is None:
        return None
    cells = {method: cell for method, runs in held.items() if (cell := aggregate_runs(runs, metric)) is not None}
    ranked = sorted(cells, key=lambda method: (-cells[method].mean, method))
    if len(ranked) < 2:
        return None
    best, second = ranked[:2]
    leads = {method: margin_over(held[best], held[method], metric) for method in ranked[1:]}
    of = {"hm": "harmonic mean of base and novel accuracy"}.get(metric, f"accuracy on {column_title(metric)}")
    near = [method for method, one in leads.items() if not one.clear]
    if near:
        said = [f"{method} ({cells[method].mean:.1f} %)" for method in near[:MAX_NAMED]]
        said += [f"{len(near) - MAX_NAMED} more"] if len(near) > MAX_NAMED else []
        answer = f"No clear winner: {best} has the highest {of}, {cells[best].mean:.1f} %, but {join_words(said)} "
        answer += f"{'is' if len(near) == 1 else 'are'} within one standard error of it."
    else:
        over = cells[best].mean - cells[second].mean
        answer = f"{best} has the highest {of}: {cells[best].mean:.1f} %, {over:.1f} points above {second}."
    notes = _certainty_notes(held, best, leads)
    still = [method for method in ranked if not learned.get(method, True)]
    if still and best not in still:
        gain, within = cells[best].mean - cells[still[0]].mean, ", within one standard error" * (still[0] in near)
        notes.append(f"Over {still[0]}, which learns nothing, {best} gains {gain:.1f} points{within}.")
    elif still:
        notes.append(f"{best} learns nothing: no tuned method here is better than leaving the model as it is.")
    if metric == "hm":
        notes += _base_novel_notes(held, learned, still)
    notes += _background_notes(held, learned)
    return Recommendation(heading, answer, tuple(notes))


def _certainty_notes(held: Mapping[str, Sequence[Result]], best: str, leads: Mapping[str, Margin]) -> list[str]:
    """How far the order can be trusted, and what is the cheapest of those that the best is not surely above."""
    if all(one.half is None for one in leads.values()):
        error = next(iter(leads.values())).error
        size = "" if error is None else f" (one standard error is {error:.1f} points on these test images)"
        return [f"This is from one seed, so small differences may be chance{size}: repeat with several, --seeds 1 2 3."]
    close = [method for method in leads if not leads[method].sure]
    fewest = min(one.seeds for one in leads.values())
    notes = []
    if close:
        named = (
            join_words(close)
            if len(close) <= MAX_NAMED
            else f"{len(close)} other methods ({join_words(close[:2])} next)"
        )
        notes.append(
            f"Not surely above {named}: over the seeds they share (at least {fewest}), the 95 % interval of the "
            f"difference reaches zero."
        )
        cheap = min([best, *close], key=lambda method: (_mean_cost(held[method], "parameters"), method))
        few, many = (_mean_cost(held[method], "parameters") for method in (cheap, best))
        if few < many < math.inf:
            notes.append(f"Of these {cheap} learns the fewest numbers, {few:,.0f} against {many:,.0f}.")
    else:
        notes.append(
            f"That is beyond chance of the seeds: the 95 % intervals of all differences (at least {fewest} "
            "shared seeds) leave out zero."
        )
    if len(leads) >= SELECTION_BIAS_COUNT:
        notes.append(f"The best of {len(leads) + 1} is picked after the fact, which flatters it a little.")
    if fewest < 3:
        notes.append("Two seeds say little about chance: three or more are usual.")
    return notes


def _base_novel_notes(
    held: Mapping[str, Sequence[Result]], learned: Mapping[str, bool], still: Sequence[str]
) -> list[str]:
    """Who is best on base and on novel classes, and whether anyone keeps what zero-shot knows of novel ones."""
    tops = {part: _best_on_set(held, part) for part in ("base", "novel")}
    if tops["base"] is None or tops["novel"] is None:
        return []
    notes = [f"Best on base classes: {tops['base'].said}; on novel ones: {tops['novel'].said}."]
    near = (tops["novel"].method, *tops["novel"].near)
    tuned = [method for method in held if learned.get(method, True)]
    if tops["novel"].method in still and tuned and not any(method in near for method in tuned):
        notes[0] += " No tuned method keeps what the untuned model knows of novel classes."
    return notes


def _background_notes(held: Mapping[str, Sequence[Result]], learned: Mapping[str, bool]) -> list[str]:
    """Which tuned method leans least on backgrounds, where that was measured."""
    for part in ("base", "test"):
        gaps = {m: aggregate_runs(runs, f"{part}/gap") for m, runs in held.items() if learned.get(m, True)}
        known = {method: abs(cell.mean) for method, cell in gaps.items() if cell is not None}
        if len(known) > 1:
            least, most = min(known, key=lambda m: (known[m], m)), max(known, key=lambda m: (known[m], m))
            return [
                f"Of the tuned methods {least} leans least on backgrounds ({known[least]:.1f} points between the "
                f"background of training and another), {most} most ({known[most]:.1f})."
            ]
    return []


@dataclass(frozen=True)
class BestOnSet:
    """The method with the highest accuracy on a test set, and those that it is not clearly above."""

    method: str
    accuracy: float
    near: tuple[str, ...]

    @property
    def said(self) -> str:
        """ "coop (46.7 %)", or "coop (46.7 %, not clearly above maple)"."""
        rest = join_words(self.near) if len(self.near) <= MAX_NAMED else f"{len(self.near)} others"
        return f"{self.method} ({self.accuracy:.1f} %{f', not clearly above {rest}' if self.near else ''})"


def _best_on_set(held: Mapping[str, Sequence[Result]], part: str) -> BestOnSet | None:
    cells = {method: cell.mean for method, runs in held.items() if (cell := aggregate_runs(runs, part)) is not None}
    if not cells:
        return None
    best = max(cells, key=lambda method: cells[method])
    near = [method for method in cells if method != best and not margin_over(held[best], held[method], part).clear]
    return BestOnSet(best, cells[best], tuple(near))


def _mean_cost(runs: Sequence[Result], name: str) -> float:
    values = [run.cost[name] for run in runs if name in run.cost]
    return statistics.fmean(values) if values else math.inf
