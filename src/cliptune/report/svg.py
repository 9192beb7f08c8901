"""Matplotlib figures as inline SVG that follows the page's colour scheme.

No pyplot, which keeps every figure in memory until it is closed.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from cliptune.report.theme import GRID, INK, QUIET, css_colours

#: Inches. Text stays readable when the figure shrinks to the width of a phone.
FIGURE_WIDTH = 4.5


def new_axes(height: float) -> tuple[Figure, Axes]:
    """A figure of `FIGURE_WIDTH` by `height` inches with one axes and light grid lines."""
    figure = new_figure(height)
    axes = figure.add_subplot(facecolor="none")
    axes.set_axisbelow(True)
    axes.grid(True, color=GRID, linewidth=0.8)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=QUIET, labelsize=10)
    axes.xaxis.label.set(color=QUIET, fontsize=10)
    axes.yaxis.label.set(color=QUIET, fontsize=10)
    return figure, axes


def new_figure(height: float) -> Figure:
    """A transparent figure of `FIGURE_WIDTH` by `height` inches."""
    figure = Figure(figsize=(FIGURE_WIDTH, height), facecolor="none", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_legend(figure: Figure, axes: Axes, handles: Sequence[Artist] | None = None) -> None:
    """Add a legend above the axes, in as many columns as its labels leave room for."""
    entries = handles or axes.get_legend_handles_labels()[0]
    longest = max(len(str(entry.get_label())) for entry in entries)
    columns = min(len(entries), 3 if longest < 11 else 2 if longest < 20 else 1)
    lines = -(-len(entries) // columns)
    figure.set_figheight(figure.get_figheight() + 0.2 * (lines - 1))
    place = {"loc": "outside upper left", "ncols": columns, "frameon": False}
    figure.legend(handles=entries, **place, fontsize=10, labelcolor=INK, handlelength=2.4)


def shades(colour: str) -> LinearSegmentedColormap:
    """A colour map from transparent to `colour`."""
    return LinearSegmentedColormap.from_list("", [to_rgba(colour, 0.0), to_rgba(colour, 1.0)])


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element for a page: live text in the page's font, colours as CSS. Deterministic."""
    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cliptune"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"\s*<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", svg)  # it would apply to the whole page
    svg = re.sub(r' xmlns(?::xlink)?="[^"]*"', "", svg)
    svg = re.sub(r"; font-family: [^;\"]*", "", svg)
    css = css_colours()
    svg = re.sub(r"((?:fill|stroke): )(#[0-9a-f]{6})", lambda m: m[1] + css.get(m[2], m[2]), svg)
    svg = re.sub(r' fill="(#[0-9a-f]{6})"', lambda m: f' style="fill: {css.get(m[1], m[1])}"', svg)
    return _with_unique_ids(svg)


def _with_unique_ids(svg: str) -> str:
    """Prefix ids that are referred to with a hash of the figure, and drop the others: a page contains many figures."""
    prefix = "s" + hashlib.sha256(svg.encode()).hexdigest()[:10]
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(url\(|href=")#', rf"\g<1>#{prefix}-", svg)
