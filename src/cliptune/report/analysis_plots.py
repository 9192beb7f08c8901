"""Plots of accuracy by shots, feature shift by block, and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cliptune.analysis.calibration import Calibration
from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.report.confusion import ConfusionCounts
from cliptune.report.report_data import FeatureShift
from cliptune.report.svg import add_legend, new_axes, shades
from cliptune.report.theme import QUIET, TINTS, MethodStyle, tint
from cliptune.results.aggregate import aggregate_runs
from cliptune.results.summary import group_runs
from cliptune.types import Result


def plot_shots(results: Sequence[Result], styles: Mapping[str, MethodStyle], *, metric: str) -> Figure | None:
    """Plot `metric` by training images per class, with one line per method and std over seeds.

    Methods with a single number of shots (zero-shot) are horizontal lines. Returns None for fewer than two numbers.
    `results` are of one dataset.
    """
    points: dict[str, dict[int, tuple[float, float]]] = {}
    for (_, method, shots, *_), runs in group_runs(results).items():
        cell = aggregate_runs(runs, metric)
        if cell is not None and shots:  # 0, all images, has no place on the axis
            points.setdefault(method, {})[shots] = cell.mean, cell.std or 0.0
    every = sorted({shots for by_shots in points.values() for shots in by_shots})
    if len(every) < 2:
        return None
    figure, axes = new_axes(3.5)
    for method in (m for m in styles if m in points):
        style, by_shots = styles[method], points[method]
        if len(by_shots) == 1:
            axes.axhline(
                next(iter(by_shots.values()))[0], color=style.colour, linestyle="--", linewidth=1.5, label=method
            )
            continue
        x = sorted(by_shots)
        axes.errorbar(
            *(x, [by_shots[k][0] for k in x]),
            **{"yerr": [by_shots[k][1] for k in x], "color": style.colour, "linestyle": style.dash, "linewidth": 2},
            **{"marker": style.marker, "markersize": 5, "elinewidth": 1, "label": method},
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(every, [str(k) for k in every])
    axes.minorticks_off()
    axes.set_xlabel("training images per class")
    axes.set_ylabel("harmonic mean (%)" if metric == "hm" else f"accuracy on {metric} (%)")
    add_legend(figure, axes)
    return figure


def plot_feature_shifts(shifts: Sequence[FeatureShift], styles: Mapping[str, MethodStyle]) -> Figure | None:
    """Plot the feature shift of the text (solid) and image tower (dashed) after each block, one colour per method."""
    if not shifts:
        return None
    figure, axes = new_axes(3.5)
    for shift in shifts:
        style = styles.get(shift.method, MethodStyle(QUIET, "o", "-"))
        for values, dash, label in ((shift.text, "-", shift.method), (shift.image, (0, (3, 2)), None)):
            axes.plot(
                *(range(1, 1 + len(values)), values),
                **{"color": style.colour, "linestyle": dash, "linewidth": 2, "label": label},
                **{"marker": style.marker, "markersize": 5},
            )
    axes.set_xlabel("block")
    axes.set_ylabel("shift relative to the frozen model")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = axes.get_legend_handles_labels()[0]
    dashes: tuple[tuple[str, Any], ...] = (("text", "-"), ("image", (0, (3, 2))))
    towers = [Line2D([], [], color=QUIET, linestyle=dash, label=tower) for tower, dash in dashes]
    add_legend(figure, axes, [*handles, *towers])
    return figure


def plot_reliability(found: Calibration, style: MethodStyle) -> Figure | None:
    """Plot accuracy by probability of the predicted class, with 95 % intervals, and the share of images per bin."""
    figure, axes = new_axes(3.5)
    axes.plot((0, 100), (0, 100), color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
    middles = [50 * (one.low + one.high) for one in found.bins]
    axes.bar(
        middles,
        [100 * one.images / found.images for one in found.bins],
        width=90 * (found.bins[0].high - found.bins[0].low),
        color=tint(style.colour, TINTS[1]),
    )
    ends = [wilson_interval(one.correct, one.images) for one in found.bins]
    shares = [100 * one.accuracy for one in found.bins]
    errors = [[max(0.0, y - low) for y, (low, _) in zip(shares, ends, strict=True)]]
    errors += [[max(0.0, high - y) for y, (_, high) in zip(shares, ends, strict=True)]]
    axes.errorbar(
        *([100 * one.confidence for one in found.bins], shares),
        **{"yerr": errors, "color": style.colour, "linestyle": "none", "marker": style.marker, "elinewidth": 1},
    )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_xlabel("probability of the predicted class (%)")
    axes.set_ylabel("accuracy (%)")
    return figure


def plot_confusion(confusion: ConfusionCounts, method: str, style: MethodStyle) -> Figure | None:
    """Plot a confusion matrix: true classes in rows, predictions in columns, shaded by the share of the row."""
    matrix = np.array(confusion.counts[method], dtype=float)
    share = matrix / matrix.sum(1, keepdims=True).clip(1)
    n = len(confusion.classnames)
    figure, axes = new_axes(0.9 + 0.155 * max(n, 12))
    axes.imshow(share, cmap=shades(style.colour), vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    names = [name if len(name) <= 18 else name[:17] + "…" for name in confusion.classnames]
    small = 9 if n <= 20 else 8
    axes.set_yticks(range(n), names, fontsize=small)
    axes.set_xticks(range(n), names, fontsize=small, rotation=90)
    axes.tick_params(length=0, pad=2)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("true class")
    axes.set_xlabel("prediction")
    return figure
