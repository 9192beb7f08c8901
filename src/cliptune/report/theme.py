"""How plots look: ink on paper by day and by night, and one look for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cliptune.results.labels import method_order, methods_that_train
from cliptune.types import Result


@dataclass(frozen=True)
class Theme:
    """Colours of a plot's text, quiet lines and surface."""

    ink: str
    quiet: str
    grid: str
    paper: str


LIGHT = Theme(ink="#1f2430", quiet="#667085", grid="#e4e7ec", paper="#ffffff")
DARK = Theme(ink="#e8eaf0", quiet="#98a2b3", grid="#2d333f", paper="#171b22")

#: Distinct also to colour-blind eyes (after Okabe and Ito, then Tol), and on light and dark paper.
COLOURS = (
    *("#0077bb", "#e06c00", "#009e73", "#cc6aa6", "#e0a100", "#56b4e9"),
    *("#8a6fd1", "#b5495b", "#8a8f2a", "#2aa5a0", "#a0714f", "#5f7fbf"),
)
UNTRAINED_COLOUR = "#8a919e"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", ">", "h", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))


@dataclass(frozen=True)
class MethodStyle:
    """One method's colour, marker and line: the last two tell methods apart without the first."""

    colour: str
    marker: str
    dash: str | tuple[int, tuple[float, ...]]


def method_styles(results: Sequence[Result]) -> dict[str, MethodStyle]:
    """Each method's look, in table order, the same in all plots of these results; what learns nothing is grey."""
    learning = methods_that_train(results)
    made: dict[str, MethodStyle] = {}
    for i, method in enumerate(method_order(results)):
        n = sum(learning[m] for m in made)
        colour = COLOURS[n % len(COLOURS)] if learning[method] else UNTRAINED_COLOUR
        made[method] = MethodStyle(colour, MARKERS[i % len(MARKERS)], DASHES[n // 4 % len(DASHES)])
    return made
