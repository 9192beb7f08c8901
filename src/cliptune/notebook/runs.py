"""A tuned model, its result, and what choosing and searching found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cliptune import methods
from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.config import RunConfig
from cliptune.notebook import html
from cliptune.results.formatting import column_title
from cliptune.selection.select import Selection
from cliptune.text import listed
from cliptune.tuned import Tuned
from cliptune.tuning.result import TuneResult, table_of
from cliptune.types import Result

#: Largest number of class names that are listed.
MAX_NAMES = 20
LEADERBOARD = ("method", "accuracy", "low", "high", "gain", "p", "parameters", "seconds")


def tuned_html(tuned: Tuned) -> str:
    """What was trained on what, the classes, and the metrics with intervals."""
    result, fitted = tuned.result, tuned.temperature
    warmth = "" if fitted is None else f"temperature {fitted.temperature:.3g} ({_span(fitted.interval, 3)})"
    return html.block(
        f"{methods.name_of(tuned.run.method)} on {tuned.run.data}",
        html.text(run_words(tuned.run)),
        html.text(f"{len(tuned.classnames)} classes: {listed(tuned.classnames, MAX_NAMES)}"),
        metrics_html(result) if result else html.note("not evaluated: evaluate() measures the accuracy"),
        html.note(warmth),
        html.note(str(tuned.path or tuned.folder or "")),
    )


def result_html(result: Result) -> str:
    """The metrics of a run with intervals, and its cost."""
    return html.block(f"{result.method} on {result.data}, seed {result.seed}", metrics_html(result))


def metrics_html(result: Result) -> str:
    """A table of the metrics with 95 % intervals from the number of test images, and the cost below it."""
    images = result.provenance.get("test_images")
    counts: Mapping[str, int] = images if isinstance(images, dict) else {}
    rows = []
    for name, value in result.metrics.items():
        n = counts.get(name)
        span = _span(wilson_interval(round(value * n / 100), n)) if n and 0 <= value <= 100 else None
        rows.append([column_title(name), f"{value:.1f}", span, n])
    head = ["test set", "accuracy (%)", "95 % interval", "images"]
    cost = [f"{result.cost['parameters']:,.0f} trainable parameters"] if "parameters" in result.cost else []
    cost += [f"{result.cost['seconds']:,.1f} s"] if "seconds" in result.cost else []
    return html.table(head, rows, head[1:]) + html.note(", ".join(cost))


def selection_html(found: Selection) -> str:
    """The chosen method with the reason, the leaderboard, and its run."""
    rows = [[_rounded(row[name]) for name in LEADERBOARD] for row in found.rows]
    return html.block(
        found.reason,
        html.table(LEADERBOARD, rows, LEADERBOARD[1:]),
        *map(html.note, found.notes),
        tuned_html(found.run),
    )


def search_html(found: TuneResult) -> str:
    """The best settings, and the best trials."""
    columns, rows = table_of(found.rows, found.space)
    order = sorted(rows, key=lambda row: -1.0 if row["accuracy"] is None else row["accuracy"], reverse=True)
    states = ", ".join(f"{n} {state}" for state in ("complete", "pruned", "failed") if (n := found.count(state)))
    shown = [name for name in columns if name != "reason"]
    numeric = [name for name in shown if any(isinstance(row[name], float) for row in rows)]
    gain = found.accuracy - (found.default.accuracy or 0.0)
    return html.block(
        f"{methods.name_of(found.run.method)} on {found.run.data}: {found.accuracy:.2f} % with "
        + " ".join(f"{name}={html.cell_text(value)}" for name, value in found.settings.items()),
        html.text(f"{gain:+.2f} points against the starting settings, on {found.images} images: {found.split}"),
        html.text(f"{len(rows)} trials: {states}"),
        html.table(shown, [[_rounded(row[name]) for name in shown] for row in order], ["trial", *numeric]),
        html.note(f"the best of many is optimistic; preset: {found.preset}"),
    )


def run_words(run: RunConfig) -> str:
    """The settings of a run that come first: shots, seed, protocol, backbone."""
    shots = f"{run.shots} images per class" if run.shots else "all training images"
    weights = f" ({run.pretrained})" if run.pretrained else ""
    return f"{shots}, seed {run.seed}, {run.protocol}, backbone {run.backbone}{weights}"


def _span(ends: tuple[float, float], digits: int = 1) -> str:
    return f"{ends[0]:.{digits}f}–{ends[1]:.{digits}f}"


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) and abs(value) >= 1 else value
