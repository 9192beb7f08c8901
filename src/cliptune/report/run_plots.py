"""Figures of one run for notebooks and scripts: curves, confusion matrices, images with saliency."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from cliptune.analysis.class_accuracy import wilson_interval
from cliptune.analysis.split_predictions import SplitPredictions
from cliptune.data.image_inputs import ImageInput, iterate_images, read_image_input
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.transforms import shrink
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.report.collect.models import sample_examples
from cliptune.report.collect.panels import gradcam_maps
from cliptune.report.overlay import heatmap_bytes
from cliptune.report.svg import shades
from cliptune.report.theme import COLOURS, GRID, INK, PAPER, QUIET
from cliptune.text import listed
from cliptune.types import DecodedImage, Result, Task

KINDS = ("curves", "confusion", "saliency")
#: Largest number of images of a figure, and the number that is chosen without images.
MAX_IMAGES, DEFAULT_IMAGES = 24, 8
#: Largest number of classes of a confusion matrix.
MAX_CLASSES = 40
#: Pixels of the longer side of an image in a figure, and of the shorter side of the image its map is computed on.
SIDE, MAX_SHORT_SIDE = 224, 512


@dataclass(frozen=True)
class CaptionedImage:
    """An image to show, with what is known of it, such as its class."""

    image: Tensor
    caption: str


class NotebookFigure(Figure):
    """A figure outside of pyplot that notebooks show as PNG, or as JPEG if it consists of photographs."""

    def __init__(self, width: float, height: float, photographs: bool = False):
        super().__init__(figsize=(width, height), facecolor=PAPER, layout="constrained")
        FigureCanvasAgg(self)
        self.photographs = photographs

    def _repr_png_(self) -> bytes | None:
        return None if self.photographs else self._encoded("png")

    def _repr_jpeg_(self) -> bytes | None:
        return self._encoded("jpeg") if self.photographs else None

    def _encoded(self, kind: str) -> bytes:
        out = io.BytesIO()
        self.savefig(out, format=kind, dpi=100)
        return out.getvalue()


def check_arguments(what: str, images: Any, data: Any, reading: Mapping[str, Any]) -> None:
    """Raise `UserError` for arguments of `Tuned.plot` that do not belong together."""
    if what not in KINDS:
        raise UserError(f"there is no plot {what!r}; known: {', '.join(KINDS)}")
    if images is not None and what != "saliency":
        raise UserError(f"plot({what!r}) takes no images; they are for plot('saliency')")
    if what == "curves" and (data is not None or reading):
        raise UserError(
            f"plot('curves') shows the training; leave out {listed(['data'][: data is not None] + [*reading])}"
        )
    if images is not None and (data is not None or reading):
        raise UserError("plot('saliency') takes images or data; leave out one of them")


def plot_curves(result: Result | None) -> Figure:
    """Plot the losses by epoch, and the validation accuracy below if it was measured.

    Raises `UserError` if the run has no history.
    """
    rows = result.history if result is not None else ()
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if _is_loss(name)]
    if result is None or not names:
        raise UserError("the run has no training history to plot: its record is missing, or its method trains nothing")
    if len(names) == 2:  # the sum and its only part
        names = ["loss"]
    measured = any("val" in row for row in rows)
    figure = NotebookFigure(6, 3.4 + 1.8 * measured)
    axes = figure.subplots(1 + measured, 1, sharex=True, squeeze=False, height_ratios=[3, 2][: 1 + measured])[:, 0]
    for i, name in enumerate(names):
        colour = INK if name == "loss" else COLOURS[i % len(COLOURS)]
        _draw_line(axes[0], rows, name, colour)
    axes[0].set_ylabel("loss")
    if len(names) > 1:
        axes[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    if measured:
        _draw_line(axes[1], rows, "val", COLOURS[2])
        axes[1].set_ylabel("validation\naccuracy (%)")
    for one in axes:
        _style(one)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_title(f"{result.method} on {result.data}, seed {result.seed}", fontsize=11, color=INK, parse_math=False)
    return figure


def plot_confusions(splits: Sequence[SplitPredictions]) -> Figure:
    """Plot true against predicted classes of each test set, shaded by the share of the true class.

    Of more than `MAX_CLASSES` classes, those that are confused most are shown, as the title says. Raises `UserError` if
    there are no images.
    """
    shown = [part for part in splits if part.paths]
    if not shown:
        raise UserError("there are no test images to plot; pass other data: plot('confusion', data=...)")
    sizes = [1.8 + 0.24 * max(8, min(len(part.classnames), MAX_CLASSES)) for part in shown]
    figure = NotebookFigure(max(4.4, *sizes), sum(sizes) + 0.3 * len(sizes))
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=sizes)[:, 0]
    for one, part in zip(axes, shown, strict=True):
        _draw_confusion(one, part)
    return figure


def plot_saliency(model: TunedModel, images: Sequence[CaptionedImage], probabilities: Tensor) -> Figure:
    """Plot images beside their Grad-CAM maps of the most probable class.

    probabilities: `(n, n_classes)`. Raises `UserError` if the image tower has no maps.
    """
    best = probabilities.argmax(1).tolist()
    maps = gradcam_maps(model, [one.image for one in images], best)
    if maps is None:
        raise UserError("the image tower is no vision transformer, so it has no Grad-CAM maps; plot('confusion') works")
    columns = min(4, len(images))
    rows = -(-len(images) // columns)
    figure = NotebookFigure(max(2.9 * columns, 4), 2.1 * rows, photographs=True)
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for i, (one, image) in enumerate(zip(axes.flat, images, strict=False)):
        pair = [_heat(image.image, np.zeros_like(maps[i]), 0.0), _heat(image.image, maps[i].numpy(), 0.75)]
        one.imshow(np.concatenate(pair, 1))
        answer = f"{_short(model.classnames[best[i]])} {probabilities[i, best[i]]:.2f}"
        blank = "" if bool(maps[i].any()) else "\n(empty map)"
        one.set_title(f"{_short(image.caption)}\n→ {answer}{blank}", fontsize=9, color=INK, parse_math=False)
    return figure


def read_images(images: ImageInput | Iterable[ImageInput]) -> list[CaptionedImage]:
    """Read the images of `Tuned.plot`. Raises `UserError` if there are none or too many."""
    inputs, _ = iterate_images(images)
    found = list(islice(inputs, MAX_IMAGES + 1))
    if not found or len(found) > MAX_IMAGES:
        raise UserError(f"plot('saliency') shows 1 to {MAX_IMAGES} images; pass that many")
    with collect_assumed_ranges():  # predicting them warns
        return [_captioned(read_image_input(one, f"image {i}"), f"image {i}") for i, one in enumerate(found)]


def sample_test_images(task: Task) -> tuple[list[CaptionedImage], tuple[str, ...]]:
    """Images of the first test set with the names of their classes, of different classes first, and all class names.

    Raises `UserError` if there are none.
    """
    test = next((test for test in task.tests.values() if test.examples), None)
    if test is None:
        raise UserError("there are no test images to plot; pass images: plot('saliency', images=[...])")
    seen: dict[int, int] = {}
    order = []
    for example in sample_examples(test.examples, len(test.examples)):
        seen[example.label] = seen.get(example.label, -1) + 1
        order.append((seen[example.label], example.label))
    chosen = sorted(range(len(order)), key=lambda i: order[i])
    chosen = (
        [chosen[i * len(seen) // DEFAULT_IMAGES] for i in range(DEFAULT_IMAGES)]
        if len(seen) > DEFAULT_IMAGES
        else chosen
    )
    examples = [test.examples[i] for i in chosen[:DEFAULT_IMAGES]]
    dataset = test.dataset or task.dataset
    with collect_assumed_ranges():
        images = [_captioned(dataset.read(e), test.classnames[e.label]) for e in examples]
    return images, test.classnames


def _captioned(decoded: DecodedImage, caption: str) -> CaptionedImage:
    return CaptionedImage(shrink(decoded, MAX_SHORT_SIDE).image, caption)


def _heat(image: Tensor, saliency: Any, strength: float) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(heatmap_bytes(image, saliency, side=SIDE, strength=strength))))


def _is_loss(name: str) -> bool:
    """Whether an entry of the history is a loss; "@" starts accuracies on test images."""
    return name not in ("epoch", "lr", "val", "shift") and not name.startswith("@")


def _draw_line(axes: Axes, rows: Sequence[Mapping[str, float]], name: str, colour: str) -> None:
    points = [(row["epoch"] + 1, row[name]) for row in rows if name in row]
    axes.plot(
        *zip(*points, strict=True),
        color=colour,
        linewidth=2,
        marker="o",
        markersize=4,
        label=name,
        markevery=max(1, len(points) // 10),
    )


def _draw_confusion(axes: Axes, part: SplitPredictions) -> None:
    n = len(part.classnames)
    counts = np.zeros((n, n))
    np.add.at(counts, (part.true, part.predicted), 1)
    wrong = counts.sum(1) + counts.sum(0) - 2 * counts.diagonal()
    keep = np.sort(np.argsort(-wrong, kind="stable")[:MAX_CLASSES])
    share = (counts / counts.sum(1, keepdims=True).clip(1))[np.ix_(keep, keep)]
    axes.imshow(share, cmap=shades(COLOURS[0]), vmin=0, vmax=1, interpolation="nearest")
    names = [_short(part.classnames[i]) for i in keep]
    axes.set_yticks(range(len(keep)), names, fontsize=8, parse_math=False)
    axes.set_xticks(range(len(keep)), names, fontsize=8, rotation=90, parse_math=False)
    if len(keep) <= 15:
        for i, j in np.argwhere(counts[np.ix_(keep, keep)] > 0):
            colour = PAPER if share[i, j] > 0.6 else INK
            number = f"{counts[keep[i], keep[j]]:.0f}"
            axes.text(j, i, number, ha="center", va="center", fontsize=8, color=colour)
    right, images = int(part.correct.sum()), len(part.paths)
    low, high = wilson_interval(right, images)
    some = f"\nthe {len(keep)} of {n} classes that are confused most" if len(keep) < n else ""
    title = f"{part.split}: {100 * right / images:.1f} % of {images:,} images\n95 % interval {low:.1f}–{high:.1f}{some}"
    axes.set_title(title, fontsize=10, color=INK, parse_math=False)
    axes.set_xlabel("prediction", color=QUIET)
    axes.set_ylabel("true class", color=QUIET)
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_color(GRID)


def _style(axes: Axes) -> None:
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    axes.tick_params(color=GRID, labelcolor=QUIET, labelsize=9)
    axes.xaxis.label.set_color(QUIET)
    axes.yaxis.label.set_color(QUIET)


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"
