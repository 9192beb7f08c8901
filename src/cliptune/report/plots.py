"""Plots of results: training curves, accuracy by background, base against novel accuracy, prompt tokens per layer.

Each function takes the results of one dataset and one number of shots.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from cliptune.report.svg import add_legend, new_axes, new_figure, shades
from cliptune.report.theme import GRID, INK, PAPER, QUIET, MethodStyle, tint
from cliptune.results.columns import BACKGROUNDS
from cliptune.results.prompt_lengths import prompt_lengths
from cliptune.results.summary import summarise
from cliptune.types import Result

#: Minimum range of an axis in points, so that small differences look small.
MIN_AXIS_SPAN = 6.0
#: Background -> share of the method's colour in the fill of its bars, and hatch.
BACKGROUND_FILLS = {"original": (1.0, None), "same": (0.5, None), "swapped": (0.1, "/////"), "plain": (0.0, None)}


def plot_training_curves(
    results: Sequence[Result], styles: Mapping[str, MethodStyle], *, what: str = "loss"
) -> Figure | None:
    """Plot `what` ("loss", "val", ...) by epoch with one line per method: mean over seeds, range shaded.

    Returns None if no history has it.
    """
    runs: dict[str, list[dict[int, float]]] = defaultdict(list)
    for result in results:
        points = {int(row["epoch"]): row[what] for row in result.history if what in row and "epoch" in row}
        if points:
            runs[result.method].append(points)
    if not runs:
        return None
    figure, axes = new_axes(3.5)
    for method in (m for m in styles if m in runs):
        style, seeds = styles[method], runs[method]
        epochs = sorted(set.intersection(*(set(points) for points in seeds)))
        values = np.array([[points[e] for e in epochs] for points in seeds])
        shown = [e + 1 for e in epochs]
        every = max(1, len(shown) // 8)
        axes.plot(
            *(shown, values.mean(axis=0)),
            **{"color": style.colour, "linestyle": style.dash, "linewidth": 2, "label": method},
            **{"marker": style.marker, "markersize": 5, "markevery": every},
        )
        if len(seeds) > 1:
            axes.fill_between(
                shown, values.min(axis=0), values.max(axis=0), color=style.colour, alpha=0.15, linewidth=0
            )
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy on validation shots (%)" if what == "val" else what)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(figure, axes)
    return figure


def plot_backgrounds(
    results: Sequence[Result], styles: Mapping[str, MethodStyle], *, part: str = "base"
) -> Figure | None:
    """Plot accuracy on the test set `part` by background with one group of bars per method and std over seeds.

    Returns None if there is only one background.
    """
    there = {r for result in results for r in result.metrics}
    modes = {b.name: part + b.suffix for b in BACKGROUNDS if part + b.suffix in there}
    if len(modes) < 2:
        return None
    table = summarise(results, tuple(modes.values()))
    bar, gap = 0.2, 0.3
    group = bar * len(modes) + gap
    figure, axes = new_axes(1.0 + 0.85 * group * len(table.rows))
    for i, row in enumerate(table.rows):
        colour = styles[row.method].colour
        for j, (mode, cell) in enumerate(zip(modes, row.cells, strict=True)):
            if cell is not None:
                y = i * group + j * bar
                axes.barh(y, cell.mean, bar * 0.86, **_bar_style(mode, colour))
                if cell.std:
                    axes.errorbar(cell.mean, y, xerr=cell.std, color=INK, elinewidth=1, capsize=0)
    axes.set_yticks(
        [i * group + bar * (len(modes) - 1) / 2 for i in range(len(table.rows))], [row.method for row in table.rows]
    )
    axes.set_ylim(group * len(table.rows) - gap, -gap)
    axes.set_xlabel(f"accuracy on {part} (%)")
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    add_legend(figure, axes, [Patch(label=mode, **_bar_style(mode, QUIET)) for mode in modes])
    return figure


def plot_base_novel(
    results: Sequence[Result],
    styles: Mapping[str, MethodStyle],
) -> Figure | None:
    """Plot base against novel accuracy with one point per method, std over seeds, and contours of the harmonic mean."""
    there = {name for result in results for name in result.metrics}
    if not {"base", "novel"} <= there:
        return None
    rows = [(r.method, *r.cells) for r in summarise(results, ("base", "novel")).rows]
    points = [(method, base, novel) for method, base, novel in rows if base is not None and novel is not None]
    if not points:
        return None
    figure, axes = new_axes(3.9)
    for method, base, novel in points:
        style = styles[method]
        axes.errorbar(
            *(base.mean, novel.mean, novel.std or None, base.std or None),
            **{"fmt": style.marker, "color": style.colour, "markersize": 9, "label": method, "elinewidth": 1.2},
            **{"markeredgecolor": PAPER, "markeredgewidth": 0.8, "zorder": 3},
        )
    axes.margins(0.15)
    for low, high, put in ((*axes.get_xlim(), axes.set_xlim), (*axes.get_ylim(), axes.set_ylim)):
        lacking = max(0.0, MIN_AXIS_SPAN - (high - low)) / 2
        put(low - lacking, high + lacking)
    x, y = np.meshgrid(np.linspace(*axes.get_xlim(), 200).clip(1e-6), np.linspace(*axes.get_ylim(), 200).clip(1e-6))
    lines = axes.contour(x, y, 2 * x * y / (x + y), levels=6, colors=QUIET, linewidths=0.7, alpha=0.6, zorder=1)
    axes.clabel(lines, fmt="HM %g", fontsize=8, colors=QUIET)
    axes.set_xlabel("accuracy on base classes (%)")
    axes.set_ylabel("accuracy on novel classes (%)")
    axes.grid(False)
    add_legend(figure, axes)
    return figure


def plot_prompt_lengths(results: Sequence[Result], style: MethodStyle) -> Figure | None:
    """Plot prompt tokens per layer of one method: the darker a cell, the more runs have that length in that layer.

    Returns None if the records have no lengths.
    """
    runs = [found for result in results if (found := prompt_lengths(result))]
    parts = list(dict.fromkeys(part for found in runs for part in found))
    if not parts:
        return None
    longest = max(n for found in runs for lengths in found.values() for n in lengths)
    figure = new_figure(0.5 + (0.6 + 0.24 * (longest + 1)) * len(parts))
    for i, part in enumerate(parts):
        rows = [found[part] for found in runs if part in found]
        layers = max(map(len, rows))
        share = np.zeros((longest + 1, layers))
        for row in rows:
            share[list(row), range(len(row))] += 1 / len(rows)
        axes = figure.add_subplot(len(parts), 1, i + 1, facecolor="none")
        edges = np.arange(layers + 1) + 0.5, np.arange(longest + 2) - 0.5
        axes.pcolormesh(*edges, share, cmap=shades(style.colour), vmin=0, vmax=1, edgecolors=GRID, linewidth=0.8)
        axes.set_xticks(range(1, layers + 1))
        axes.set_yticks(range(longest + 1))
        axes.set_ylabel(f"tokens, {part}")
        for label in (axes.xaxis.label, axes.yaxis.label):
            label.set(color=QUIET, fontsize=10)
        axes.tick_params(length=0, labelcolor=QUIET, labelsize=10)
        axes.spines[:].set_visible(False)
    figure.axes[-1].set_xlabel("layer", color=QUIET, fontsize=10)
    return figure


def _bar_style(background: str, colour: str) -> dict[str, Any]:
    """Style of the bars of a background."""
    share, hatch = BACKGROUND_FILLS[background]
    fill = {0.0: PAPER, 1.0: colour}.get(share) or tint(colour, share)
    return {"facecolor": fill, "edgecolor": colour, "hatch": hatch, "linewidth": 1}
