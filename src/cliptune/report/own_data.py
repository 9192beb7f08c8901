"""What a report shows of a user's own images: mistakes, likely wrong labels, duplicates, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cliptune.analysis.calibration import BINS, Calibration
from cliptune.report.html_table import HtmlTable, number_cell, text_cell


@dataclass(frozen=True)
class ImageCard:
    """An image as JPEG, the path or key of its file, and lines of text about it."""

    jpeg: bytes
    path: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class CardGroup:
    """Images that belong together, and what is wrong with them."""

    title: str
    cards: tuple[ImageCard, ...]


@dataclass(frozen=True)
class OwnDataFindings:
    """Findings about a user's own images.

    Args:
        method: The method whose mistakes are shown.
        split: The test set that it was tested on.
        images: Number of test images, and of wrong predictions in `wrong`.
        mistakes: The surest mistakes.
        mislabelled: Images that are likely mislabelled, the likeliest first, of `suspects` in total; `judges` describes
            the models and the images that they judged.
        duplicates: Groups of duplicates, the worst first, of `groups` in total.
        calibration: By method, without and with the temperature that is stored with the run; empty if images have
            several classes.
        temperatures: The stored temperature by method.
        notes: What is missing, and why.
    """

    method: str
    split: str
    images: int
    wrong: int
    mistakes: Sequence[ImageCard] = ()
    mislabelled: Sequence[ImageCard] = ()
    suspects: int = 0
    judges: str = ""
    duplicates: Sequence[CardGroup] = ()
    groups: int = 0
    calibration: Mapping[str, tuple[Calibration, Calibration | None]] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()


def calibration_table(found: OwnDataFindings) -> HtmlTable | None:
    """Accuracy, mean probability, calibration error and log loss per method, without and with its temperature."""
    rows = []
    for method, (plain, scaled) in found.calibration.items():
        for temperature, values in ((1.0, plain), (found.temperatures.get(method), scaled)):
            if values is not None:
                shares = (100 * x for x in (values.accuracy, values.confidence, values.error))
                numbers = [number_cell(value) for value in shares]
                first = text_cell(method), number_cell(temperature, digits=2)
                rows.append((*first, *numbers, number_cell(values.nll, digits=3)))
    if not rows:
        return None
    images = next(iter(found.calibration.values()))[0].images
    caption = (
        f"{found.split}, {images} images: accuracy, mean probability of the predicted class and expected calibration "
        f"error ({BINS} bins) in percent, log loss in nats"
    )
    head = ("method", "temperature", "accuracy", "probability", "calibration error", "log loss")
    return HtmlTable(caption, tuple((name, i > 0) for i, name in enumerate(head)), tuple(rows))
