"""Figures of the page with captions and text alternatives."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from cliptune.report import analysis_plots as curves_
from cliptune.report import plots
from cliptune.report.confusion import ConfusionCounts
from cliptune.report.describe import join_words
from cliptune.report.own_data import OwnDataFindings
from cliptune.report.report_data import FeatureShift
from cliptune.report.svg import to_svg
from cliptune.report.theme import UNTRAINED_COLOUR, MethodStyle
from cliptune.results.aggregate import is_whole_test_set, metric_names
from cliptune.results.formatting import column_title
from cliptune.results.labels import method_order
from cliptune.results.prompt_lengths import prompt_lengths
from cliptune.types import Result

#: Largest number of classes shown as a confusion matrix.
MAX_MATRIX_CLASSES = 40


@dataclass(frozen=True)
class EmbeddedPlot:
    """A figure as inline SVG, its text alternative and its caption."""

    svg: str
    alt: str
    caption: str


def training_figures(results: Sequence[Result], styles: Mapping[str, MethodStyle]) -> list[EmbeddedPlot]:
    """Training loss by epoch, and validation accuracy where it was measured."""
    several = len({r.seed for r in results}) > 1
    over = "Mean over seeds; the shaded band is their range. " if several else ""
    words = {
        "loss": (
            "training loss",
            "Each method minimises its own sum of losses, so only the shapes of the curves are comparable.",
        ),
        "shift": (
            "inconsistency of the feature shift",
            "RESTORE's penalty: weight times the squared difference between the towers' shifts, summed over layers.",
        ),
        "val": ("validation accuracy", "Accuracy on the validation shots."),
    }

    def drawn(what: str, name: str, caption: str) -> EmbeddedPlot | None:
        alt = f"Line chart of {name} by epoch for {_methods(results)}."
        return _embed(lambda: plots.plot_training_curves(results, styles, what=what), alt, over + caption)

    return [plot for what, (name, caption) in words.items() if (plot := drawn(what, name, caption))]


def background_figure(results: Sequence[Result], styles: Mapping[str, MethodStyle], part: str) -> EmbeddedPlot | None:
    """Accuracy on the test set `part` by background."""
    alt = f"Bar chart of accuracy on {part} by background for {_methods(results)}; the table has its numbers."
    return _embed(lambda: plots.plot_backgrounds(results, styles, part=part), alt, "")


def base_novel_figure(
    results: Sequence[Result], styles: Mapping[str, MethodStyle], heading: str
) -> EmbeddedPlot | None:
    """Accuracy on base against novel classes."""
    alt = f"Scatter plot of base against novel accuracy for {_methods(results)}; the table has its numbers."
    caption = "Higher and further right is better; the harmonic mean is constant along a grey line."
    whole = f"{heading}. {caption}" if heading else caption
    return _embed(lambda: plots.plot_base_novel(results, styles), alt, whole)


def prompt_length_figures(results: Sequence[Result], styles: Mapping[str, MethodStyle]) -> list[EmbeddedPlot]:
    """Prompt tokens per layer: a plot for each method with a length per layer."""

    def drawn(method: str) -> EmbeddedPlot | None:
        runs = [result for result in results if result.method == method]
        several = len([run for run in runs if prompt_lengths(run)]) > 1
        alt = f"Grid of layers and numbers of tokens for {method}; the cell of each layer's number is filled."
        caption = f"{method}. Darker cells: more runs with that number of tokens." if several else f"{method}."
        return _embed(lambda: plots.plot_prompt_lengths(runs, styles[method]), alt, caption)

    return [plot for method in method_order(results) if (plot := drawn(method))]


def shots_figures(results: Sequence[Result], styles: Mapping[str, MethodStyle]) -> list[EmbeddedPlot]:
    """Accuracy by training images per class: a plot for each dataset and each metric of a whole test set."""
    figures = []
    for data in sorted({r.data for r in results}):
        runs = [r for r in results if r.data == data]
        for metric in (name for name in metric_names(runs) if is_whole_test_set(name)):
            alt = f"Line chart of {metric} on {data} by training images per class for {_methods(runs)}."
            over = "Error bars: standard deviation over seeds." if len({r.seed for r in runs}) > 1 else ""
            caption = f"{data}, {column_title(metric)}. {over}"
            plot = _embed(lambda m=metric, d=runs: curves_.plot_shots(d, styles, metric=m), alt, caption)
            figures += [plot] if plot else []
    return figures


def feature_shift_figure(shifts: Sequence[FeatureShift], styles: Mapping[str, MethodStyle]) -> EmbeddedPlot | None:
    """Feature shift of both towers after each block."""
    alt = f"Line chart of the shift of both towers by block for {join_words(shift.method for shift in shifts)}."
    caption = "Where the two lines of a method coincide, its tokens shift both towers equally."
    return _embed(lambda: curves_.plot_feature_shifts(shifts, styles), alt, caption) if shifts else None


def confusion_figures(
    confusions: Sequence[ConfusionCounts], results: Sequence[Result], styles: Mapping[str, MethodStyle]
) -> list[EmbeddedPlot]:
    """Confusion matrices of zero-shot and the best method, for test sets of at most `MAX_MATRIX_CLASSES` classes."""
    figures = []
    for confusion in (confusion for confusion in confusions if len(confusion.classnames) <= MAX_MATRIX_CLASSES):
        right = {method: sum(row[i] for i, row in enumerate(counts)) for method, counts in confusion.counts.items()}
        best = max((m for m in right if m != confusion.untuned), key=lambda m: right[m], default=None)
        for method in dict.fromkeys(m for m in (confusion.untuned, best) if m):
            style = styles.get(method, MethodStyle(UNTRAINED_COLOUR, "o", "-"))
            share = 100 * right[method] / max(confusion.num_images, 1)
            alt = f"Confusion matrix of {method} on {confusion.name}; the table has the largest numbers."
            caption = (
                f"{method} on {column_title(confusion.name)}: {share:.1f} % of the predictions are correct (diagonal)."
            )
            plot = _embed(lambda o=confusion, m=method, k=style: curves_.plot_confusion(o, m, k), alt, caption)
            figures += [plot] if plot else []
    return figures


def reliability_figures(found: OwnDataFindings | None, styles: Mapping[str, MethodStyle]) -> list[EmbeddedPlot]:
    """Reliability diagrams of the method whose mistakes are shown, without and with its temperature."""
    if found is None or found.method not in found.calibration:
        return []
    figures, style = [], styles.get(found.method, MethodStyle(UNTRAINED_COLOUR, "o", "-"))
    for words, values in zip(("", " with its temperature"), found.calibration[found.method], strict=True):
        if values is not None:
            alt = f"Reliability diagram of {found.method}{words}; the table has its calibration error."
            caption = (
                f"{found.method}{words}. Points below the diagonal: probabilities are too high. Lines: 95 % intervals "
                f"of the accuracy. Bars: share of the {values.images} images."
            )
            plot = _embed(lambda v=values: curves_.plot_reliability(v, style), alt, caption)
            figures += [plot] if plot else []
    return figures


def data_uri(kind: str, data: bytes) -> str:
    """Image `data` as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _embed(draw: Callable[[], Figure | None], alt: str, caption: str) -> EmbeddedPlot | None:
    figure = draw()
    return None if figure is None else EmbeddedPlot(to_svg(figure), alt, caption)


def _methods(results: Sequence[Result]) -> str:
    return join_words(method_order(results))
