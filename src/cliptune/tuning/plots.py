"""Plots of a search: accuracy by trial, importance of settings, accuracy by the value of a setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cliptune.report.svg import add_legend, new_axes
from cliptune.report.theme import COLOURS, INK, PAPER, QUIET
from cliptune.tuning.rows import TrialRow, best_row
from cliptune.tuning.space import Dimension

#: Colours of complete trials, of the best one and of the starting settings.
COMPLETE, BEST, START = COLOURS[0], COLOURS[1], COLOURS[2]


def plot_history(rows: Sequence[TrialRow]) -> Figure:
    """Plot accuracy by trial, with the best so far as a line and the starting settings dashed."""
    figure, axes = new_axes(3.3)
    complete = [row for row in rows if row.state == "complete"]
    best, so_far = [], 0.0
    for row in complete:
        so_far = max(so_far, row.accuracy or 0.0)
        best.append(so_far)
    numbers = [row.number for row in complete]
    axes.step(numbers, best, where="post", color=BEST, linewidth=2, label="best so far")
    _draw_trials(axes, rows, [row.number for row in rows])
    (start,) = [row.accuracy for row in rows if row.default]
    axes.axhline(start or 0.0, color=START, linestyle=(0, (5, 1.5)), linewidth=1.5, label="starting settings")
    axes.set_xlabel("trial")
    _label_accuracies(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(figure, axes)
    return figure


def plot_importance(importance: Mapping[str, float]) -> Figure:
    """Plot the importance of each setting as a bar, the most important on top."""
    names = sorted(importance, key=lambda name: importance[name])
    figure, axes = new_axes(0.9 + 0.34 * len(names))
    axes.barh(names, [100 * importance[name] for name in names], 0.6, color=COMPLETE)
    axes.set_xlabel("share of the importance (%)")
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    return figure


def plot_slice(rows: Sequence[TrialRow], one: Dimension) -> Figure:
    """Plot accuracy by the value of a setting."""
    figure, axes = new_axes(2.9)
    shown = [row for row in rows if one.name in row.settings and one.contains(row.settings[one.name])]
    values: list[Any] = [row.settings[one.name] for row in shown]
    if one.kind == "choice":
        axes.set_xticks(range(len(one.words)), one.words)
        axes.set_xlim(-0.5, len(one.words) - 0.5)
        values = [one.values.index(value) for value in values]
    elif one.kind == "log":
        axes.set_xscale("log")
    _draw_trials(axes, shown, values)
    axes.set_xlabel(one.name)
    _label_accuracies(axes)
    return figure


def _label_accuracies(axes: Axes) -> None:
    """Label the vertical axis, and end it a little above 100 %."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 100 + 0.04 * (100 - low)))
    axes.set_ylabel("accuracy (%)")


def _draw_trials(axes: Axes, rows: Sequence[TrialRow], x: Sequence[Any]) -> None:
    """Draw a point per trial: pruned ones at their last accuracy as a cross, the best one large."""
    best = best_row(rows).number if any(row.state == "complete" for row in rows) else None
    points = [(at, row) for at, row in zip(x, rows, strict=True) if row.accuracy is not None]
    kinds: list[tuple[str, dict[str, Any], list[tuple[Any, float]]]] = [
        ("complete", {"marker": "o", "color": COMPLETE, "markeredgecolor": PAPER}, []),
        ("pruned", {"marker": "x", "color": QUIET}, []),
        ("best", {"marker": "o", "color": BEST, "markeredgecolor": PAPER, "markersize": 10}, []),
    ]
    for at, row in points:
        i = 2 if row.number == best else 1 if row.state == "pruned" else 0
        kinds[i][2].append((at, row.accuracy or 0.0))
    for label, style, found in kinds:
        if found:
            axes.plot(
                *zip(*found, strict=True), linestyle="none", label=label, **{"markersize": 6, "zorder": 3, **style}
            )
