"""A dataset: its classes with numbers of images, and an image of each with its mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.transforms import shrink
from cliptune.errors import UserError
from cliptune.masks.from_dataset import DataMasks
from cliptune.notebook import html
from cliptune.report.overlay import MAX_SHORT_SIDE
from cliptune.text import listed
from cliptune.types import DecodedImage, Example

PARTS = ("train", "val", "test")


def dataset_html(dataset: Dataset) -> str:
    """Classes with their numbers of images, and thumbnails with the outlines of masks that come with the data."""
    parts = {part: dataset.examples(part) for part in PARTS}
    counts = {part: count_labels(examples) for part, examples in parts.items()}
    rows = [[name, *(counts[part][i] for part in PARTS)] for i, name in enumerate(dataset.classnames)]
    shown = next((examples for examples in parts.values() if examples), [])
    images = [_thumbnail(dataset, example) for example in one_of_each(shown, html.MAX_IMAGES)]
    return html.block(
        repr(dataset).strip("<>"),
        html.note(f"prompts: {listed(dataset.templates, 3)}"),
        "".join(images),
        html.table(["class", *PARTS], rows[: html.MAX_ROWS], PARTS, len(rows)),
    )


def count_labels(examples: Sequence[Example]) -> Counter[int]:
    """Number of images per class; one of several classes counts for each."""
    return Counter(label for example in examples for label in example.labels or (example.label,))


def one_of_each(examples: Sequence[Example], count: int) -> list[Example]:
    """The first example of each of at most `count` classes, evenly spaced."""
    first: dict[int, Example] = {}
    for example in examples:
        first.setdefault(example.label, example)
    found = [first[label] for label in sorted(first)]
    return found if len(found) <= count else [found[i * len(found) // count] for i in range(count)]


def _thumbnail(dataset: Dataset, example: Example) -> str:
    names = [dataset.classnames[label] for label in example.labels or (example.label,)]
    caption = ", ".join(names)
    try:
        with collect_assumed_ranges():
            image = dataset.read(example)
    except UserError as error:
        return html.missing_thumbnail(str(error), caption)
    try:
        mask = DataMasks().mask(example, image)
    except UserError:  # no mask, or a damaged one
        mask = None
    small = shrink(DecodedImage(image.image, mask), MAX_SHORT_SIDE)
    return html.thumbnail(small.image, small.mask, caption)
