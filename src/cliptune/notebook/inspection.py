"""An inspection: metrics with intervals, the worst classes, confused pairs, and the surest mistakes as images."""

from __future__ import annotations

import math
from pathlib import Path

from cliptune.analysis.class_accuracy import class_accuracies, confusions, surest_mistakes, wilson_interval
from cliptune.analysis.inspection import Inspection
from cliptune.analysis.split_predictions import SplitPredictions
from cliptune.data.image_io import read_image
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.transforms import shrink
from cliptune.errors import UserError
from cliptune.notebook import html
from cliptune.report.overlay import MAX_SHORT_SIDE

#: Number of classes, pairs of classes, and mistakes that are shown per test set.
SHOWN = 6


def inspection_html(found: Inspection) -> str:
    """The test sets one below the other."""
    return html.block(repr(found).strip("<>"), *map(_split_html, found.splits))


def _split_html(part: SplitPredictions) -> str:
    n, right = len(part.paths), int(part.correct.sum())
    if not n:
        return html.text(f"{part.split}: no images")
    low, high = wilson_interval(right, n)
    title = f"{part.split}: {100 * right / n:.1f} % of {n:,} images correct ({low:.1f}–{high:.1f})"
    measured = [one for one in class_accuracies(part) if one.images]
    worst = sorted(measured, key=lambda one: one.correct / one.images)[:SHOWN]
    classes = []
    for one in worst:
        low, high = wilson_interval(one.correct, one.images)
        classes.append([one.name, f"{100 * one.correct / one.images:.1f}", f"{low:.1f}–{high:.1f}", one.images])
    heads = ["class", "accuracy (%)", "95 % interval", "images"]
    pairs = [[one.true, one.predicted, f"{one.count} of {one.images}"] for one in confusions(part)[:SHOWN]]
    mistakes = surest_mistakes(part, SHOWN)
    return html.block(
        title,
        html.note(f"the {len(worst)} least accurate of {len(measured)} classes") * (len(worst) < len(measured)),
        html.table(heads, classes, heads[1:]),
        html.table(["true", "predicted", "images"], pairs, ["images"]) if pairs else "",
        html.note("the surest mistakes: true class → prediction, probability") if mistakes else "",
        "".join(_mistake(part, i) for i in mistakes),
    )


def _mistake(part: SplitPredictions, i: int) -> str:
    true, predicted = part.classnames[part.true[i]], part.classnames[part.predicted[i]]
    caption = f"{true} → {predicted}, {math.exp(part.predicted_log[i]):.2f}"
    try:
        with collect_assumed_ranges():
            image = shrink(read_image(Path(part.paths[i])), MAX_SHORT_SIDE).image
    except (UserError, OSError):  # generated, moved, or of a dataset in memory
        return html.missing_thumbnail(part.paths[i], caption)
    return html.thumbnail(image, None, caption)
