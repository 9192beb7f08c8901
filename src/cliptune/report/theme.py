"""Colours of figures and contact sheets, and one style for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.colors import to_hex, to_rgb

from cliptune.results.labels import method_order, methods_that_train
from cliptune.types import Result

#: Text, labels, grid lines and background.
INK, QUIET, GRID, PAPER = "#1f2430", "#667085", "#e4e7ec", "#ffffff"
#: Distinguishable with colour vision deficiency (after Okabe and Ito, then Tol), on light and dark backgrounds.
COLOURS = (
    *("#0077bb", "#e06c00", "#009e73", "#cc6aa6", "#e0a100", "#56b4e9"),
    *("#8a6fd1", "#b5495b", "#8a8f2a", "#2aa5a0", "#a0714f", "#5f7fbf"),
)
UNTRAINED_COLOUR = "#8a919e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
#: Shares of a colour in the fills of bars.
TINTS = (0.5, 0.1)


@dataclass(frozen=True)
class MethodStyle:
    """Colour, marker and line style of a method; the last two tell methods apart without the colour."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[float, ...]]


def method_styles(results: Sequence[Result]) -> dict[str, MethodStyle]:
    """Style of each method in table order, the same in all figures of these results. Training-free methods are grey."""
    trains = methods_that_train(results)
    styles: dict[str, MethodStyle] = {}
    for i, method in enumerate(method_order(results)):
        n = sum(trains[m] for m in styles)
        colour = COLOURS[n % len(COLOURS)] if trains[method] else UNTRAINED_COLOUR
        styles[method] = MethodStyle(colour, MARKERS[i % len(MARKERS)], DASHES[n // 4 % len(DASHES)])
    return styles


def tint(colour: str, share: float) -> str:
    """`share` of `colour` mixed into the page colour, opaque: SVG viewers drop hatches from translucent fills."""
    r, g, b = (share * a + (1 - share) * p for a, p in zip(to_rgb(colour), to_rgb(PAPER), strict=True))
    return to_hex((r, g, b))


def css_colours() -> dict[str, str]:
    """Colour in a figure -> CSS colour that follows the light or dark scheme of the page around it."""
    css = {INK: "currentColor", QUIET: "var(--quiet)", GRID: "var(--line)", PAPER: "var(--paper)"}
    for colour in (*COLOURS, UNTRAINED_COLOUR, QUIET):
        for share in TINTS:
            mixed = f"{css.get(colour, colour)} {100 * share:.0f}%"
            css[tint(colour, share)] = f"color-mix(in srgb, {mixed}, var(--paper))"
    return css
