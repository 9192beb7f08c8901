"""Recommend a method in a few sentences derived from the results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cliptune.report.describe import describe_training_data, join_words
from cliptune.report.sampling_error import sampling_error
from cliptune.results import t_distribution
from cliptune.results.aggregate import aggregate_runs, is_whole_test_set, metric_names
from cliptune.results.formatting import column_title
from cliptune.results.labels import label_methods, methods_that_train, num_shots
from cliptune.results.summary import group_runs
from cliptune.types import Result

#: Methods are ranked by the first of these that was measured, else by the first metric of a whole test set.
RANKING_METRICS = ("hm", "average", "test")
#: From this number of competitors on, selecting the best is noticeably biased.
SELECTION_BIAS_COUNT = 4
#: Longest list of methods that is written out.
MAX_NAMED = 4


@dataclass(frozen=True)
class Recommendation:
    """The recommendation for one dataset and number of shots, and notes that qualify it."""

    heading: str
    answer: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Margin:
    """Difference between the best method and another, in points.

    Args:
        mean: the mean difference.
        half: half the width of its 95 % confidence interval over seeds; None with fewer than two shared seeds.
        seeds: number of shared seeds.
        error: its standard error, over seeds if there are several, else over test images; None if unknown.
    """

    mean: float
    half: float | None
    seeds: int
    error: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the confidence interval is above zero."""
        return self.half is not None and self.mean > self.half

    @property
    def clear(self) -> bool:
        """Whether the mean exceeds one standard error."""
        return self.mean > (self.error or 0)


def recommend(results: Sequence[Result]) -> list[Recommendation]:
    """One recommendation per dataset with at least two ranked methods, at the largest number of shots."""
    results = label_methods(results)
    recommendations = []
    datasets = sorted({r.data for r in results})
    for data in datasets:
        of_data = [r for r in results if r.data == data]
        counts = {num_shots(r) for r in of_data}
        shots = 0 if 0 in counts else max(counts, key=lambda s: -1 if s is None else s)
        compared = [r for r in of_data if num_shots(r) == shots]
        runs_of = {key[1]: runs for key, runs in group_runs(compared).items()}
        heading = ", ".join(filter(None, (data, describe_training_data(compared))))
        several = len(counts) > 1 or len(datasets) > 1
        recommendation = _recommend_for(runs_of, heading if several else "", methods_that_train(of_data))
        recommendations += [recommendation] if recommendation else []
    return recommendations


def margin_over(best: Sequence[Result], other: Sequence[Result], metric: str) -> Margin:
    """Margin of `best` over `other`: paired by seed if they share seeds, else between their means."""
    mine, theirs = ({r.seed: c.mean for r in runs if (c := aggregate_runs([r], metric))} for runs in (best, other))
    pairs = [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]
    if len(pairs) > 1:
        error = statistics.stdev(pairs) / math.sqrt(len(pairs))
        return Margin(
            statistics.fmean(pairs), t_distribution.two_sided_quantile(0.95, len(pairs) - 1) * error, len(pairs), error
        )
    mean = pairs[0] if pairs else statistics.fmean(mine.values()) - statistics.fmean(theirs.values())
    errors = [sampling_error(runs, metric) for runs in (best, other)]
    known = [error for error in errors if error is not None]
    return Margin(mean, None, len(pairs), math.hypot(*known) if len(known) == len(errors) else None)


def _recommend_for(
    runs_of: Mapping[str, Sequence[Result]], heading: str, trains: Mapping[str, bool]
) -> Recommendation | None:
    names = [name for name in metric_names([r for runs in runs_of.values() for r in runs]) if is_whole_test_set(name)]
    metric = next((name for name in RANKING_METRICS if name in names), next(iter(names), None))
    if metric is None:
        return None
    cells = {method: cell for method, runs in runs_of.items() if (cell := aggregate_runs(runs, metric)) is not None}
    ranked = sorted(cells, key=lambda method: (-cells[method].mean, method))
    if len(ranked) < 2:
        return None
    best, second = ranked[:2]
    leads = {method: margin_over(runs_of[best], runs_of[method], metric) for method in ranked[1:]}
    measure = {"hm": "harmonic mean of base and novel accuracy"}.get(metric, f"accuracy on {column_title(metric)}")
    near = [method for method, margin in leads.items() if not margin.clear]
    if near:
        named = [f"{method} ({cells[method].mean:.1f} %)" for method in near[:MAX_NAMED]]
        named += [f"{len(near) - MAX_NAMED} more"] if len(near) > MAX_NAMED else []
        answer = (
            f"No clear winner: {best} has the highest {measure}, {cells[best].mean:.1f} %, but {join_words(named)} "
        )
        answer += f"{'is' if len(near) == 1 else 'are'} within one standard error of it."
    else:
        over = cells[best].mean - cells[second].mean
        answer = f"{best} has the highest {measure}: {cells[best].mean:.1f} %, {over:.1f} points above {second}."
    notes = _certainty_notes(runs_of, best, leads)
    untrained = [method for method in ranked if not trains.get(method, True)]
    if untrained and best not in untrained:
        gain = cells[best].mean - cells[untrained[0]].mean
        within = ", within one standard error" * (untrained[0] in near)
        notes.append(f"{best} is {gain:.1f} points above {untrained[0]}, which has no trainable parameters{within}.")
    elif untrained:
        notes.append(f"{best} has no trainable parameters: no tuned method here improves on the untuned model.")
    if metric == "hm":
        notes += _base_novel_notes(runs_of, trains, untrained)
    notes += _background_notes(runs_of, trains)
    return Recommendation(heading, answer, tuple(notes))


def _certainty_notes(runs_of: Mapping[str, Sequence[Result]], best: str, leads: Mapping[str, Margin]) -> list[str]:
    """Notes on significance, and the smallest of the methods that do not differ significantly from the best."""
    if all(margin.half is None for margin in leads.values()):
        error = next(iter(leads.values())).error
        size = "" if error is None else f" (one standard error is {error:.1f} points on these test images)"
        return [
            f"With one seed, small differences may be due to chance{size}. Use several seeds, such as --seeds 1 2 3."
        ]
    ties = [method for method in leads if not leads[method].significant]
    fewest = min(margin.seeds for margin in leads.values())
    notes = []
    if ties:
        named = (
            join_words(ties) if len(ties) <= MAX_NAMED else f"{len(ties)} other methods ({join_words(ties[:2])} next)"
        )
        notes.append(
            f"The difference from {named} is not significant: its 95 % confidence interval over the shared seeds "
            f"(at least {fewest}) includes zero."
        )
        smallest = min([best, *ties], key=lambda method: (_mean_cost(runs_of[method], "parameters"), method))
        few, many = (_mean_cost(runs_of[method], "parameters") for method in (smallest, best))
        if few < many < math.inf:
            notes.append(
                f"Of these, {smallest} has the fewest trainable parameters: {few:,.0f} compared with {many:,.0f}."
            )
    else:
        notes.append(
            f"All differences are significant over seeds: their 95 % confidence intervals (at least {fewest} shared "
            "seeds) exclude zero."
        )
    if len(leads) >= SELECTION_BIAS_COUNT:
        notes.append(f"Selecting the best of {len(leads) + 1} methods on the test set biases its accuracy upwards.")
    if fewest < 3:
        notes.append("Two seeds give a poor estimate of the variance; three or more are common.")
    return notes


def _base_novel_notes(
    runs_of: Mapping[str, Sequence[Result]], trains: Mapping[str, bool], untrained: Sequence[str]
) -> list[str]:
    """The best methods on base and novel classes, and whether all tuned methods lose accuracy on novel ones."""
    tops = {part: _best_on_set(runs_of, part) for part in ("base", "novel")}
    if tops["base"] is None or tops["novel"] is None:
        return []
    notes = [f"Best on base classes: {tops['base'].text}; on novel ones: {tops['novel'].text}."]
    near = (tops["novel"].method, *tops["novel"].near)
    tuned = [method for method in runs_of if trains.get(method, True)]
    if tops["novel"].method in untrained and tuned and not any(method in near for method in tuned):
        notes[0] += " Every tuned method is clearly below the untuned model on novel classes."
    return notes


def _background_notes(runs_of: Mapping[str, Sequence[Result]], trains: Mapping[str, bool]) -> list[str]:
    """The tuned methods that rely least and most on backgrounds, if measured."""
    for part in ("base", "test"):
        gaps = {m: aggregate_runs(runs, f"{part}/gap") for m, runs in runs_of.items() if trains.get(m, True)}
        known = {method: abs(cell.mean) for method, cell in gaps.items() if cell is not None}
        if len(known) > 1:
            least, most = min(known, key=lambda m: (known[m], m)), max(known, key=lambda m: (known[m], m))
            return [
                f"Of the tuned methods, {least} relies least on backgrounds ({known[least]:.1f} points between the "
                f"training background and another one), and {most} most ({known[most]:.1f})."
            ]
    return []


@dataclass(frozen=True)
class BestOnSet:
    """The method with the highest accuracy on a test set, and the methods within one standard error of it."""

    method: str
    accuracy: float
    near: tuple[str, ...]

    @property
    def text(self) -> str:
        """ "coop (46.7 %)", or "coop (46.7 %, not clearly above maple)"."""
        rest = join_words(self.near) if len(self.near) <= MAX_NAMED else f"{len(self.near)} others"
        return f"{self.method} ({self.accuracy:.1f} %{f', not clearly above {rest}' if self.near else ''})"


def _best_on_set(runs_of: Mapping[str, Sequence[Result]], part: str) -> BestOnSet | None:
    cells = {method: cell.mean for method, runs in runs_of.items() if (cell := aggregate_runs(runs, part)) is not None}
    if not cells:
        return None
    best = max(cells, key=lambda method: cells[method])
    near = [
        method for method in cells if method != best and not margin_over(runs_of[best], runs_of[method], part).clear
    ]
    return BestOnSet(best, cells[best], tuple(near))


def _mean_cost(runs: Sequence[Result], name: str) -> float:
    values = [run.cost[name] for run in runs if name in run.cost]
    return statistics.fmean(values) if values else math.inf
