"""Classify uploaded images with several runs, each with a picture of what it looks at."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from cliptune import checks
from cliptune.data.transforms import shrink
from cliptune.errors import UserError
from cliptune.files import read_bytes
from cliptune.report.collect.panels import gradcam_maps
from cliptune.report.overlay import MAX_SHORT_SIDE, draw_masks, encode_image, heatmap_bytes, image_bytes
from cliptune.report.report_data import EMPTY_GRADCAM, NO_GRADCAM
from cliptune.serving.classifier import Classifier, Decoded, Query, decode_image
from cliptune.serving.forms import shorten
from cliptune.serving.limits import Limits
from cliptune.types import DecodedImage

View = Literal["image", "saliency", "mask"]
#: Longer side of the pictures in pixels.
SIDE = 480
#: Number of classes that are shown per image.
TOP_K = 5
#: Share of the largest value of a Grad-CAM map from which a pixel is foreground, as in training with these masks.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Answer:
    """What one run says about one image. picture: a JPEG file. captions: What the picture and the numbers are."""

    run: str
    classes: Sequence[tuple[str, float]] = ()
    picture: bytes = b""
    captions: Sequence[str] = ()
    error: str = ""


@dataclass(frozen=True)
class Card:
    """An image with the answers of the runs, or why it cannot be read."""

    image: str
    answers: Sequence[Answer] = ()
    error: str = ""


class Comparison:
    """Several runs that classify the same images.

    Args:
        runs: Name and classifier of each run.
        limits: Limits on the images and class names.
    """

    def __init__(self, runs: Sequence[tuple[str, Classifier]], limits: Limits):
        self.runs, self.limits = tuple(runs), limits
        self._lock = threading.Lock()  # a model computes for one caller at a time

    @property
    def classnames(self) -> list[str]:
        """The class names of all runs, in the order of the runs."""
        return list(dict.fromkeys(name for _, own in self.runs for name in own.tuned.classnames))

    def cards(self, files: Sequence[str | Path], names: str = "", view: View = "image") -> list[Card]:
        """Classify image files.

        Args:
            files: Paths of the images.
            names: Class names, separated by commas or lines; by default those of each run.
            view: What the pictures show.

        Raises:
            UserError: There are too many images, or the class names are invalid.
        """
        if len(files) > self.limits.max_images:
            raise UserError(f"{len(files)} images were chosen; at most {self.limits.max_images} are shown at a time")
        classes = parse_classes(names, self.limits.max_classes)
        with self._lock:
            return [self._card(Path(file), classes, view) for file in files]

    def _card(self, path: Path, classes: tuple[str, ...], view: View) -> Card:
        name = shorten(path.name)
        try:
            content = read_bytes(path, 2 * self.limits.file_bytes)
            decoded = decode_image(content, name, self.limits)
        except UserError as error:
            return Card(name, error=str(error))
        small = shrink(decoded.image, MAX_SHORT_SIDE)
        return Card(name, [self._answer(run, own, decoded, small, classes, view) for run, own in self.runs])

    def _answer(
        self, run: str, own: Classifier, decoded: Decoded, small: DecodedImage, classes: tuple[str, ...], view: View
    ) -> Answer:
        try:
            (row,) = own.compute(Query("probabilities", classes), [own.view(decoded)])
        except UserError as error:
            return Answer(run, error=str(error))
        known = classes or own.tuned.classnames
        order = sorted(range(len(known)), key=lambda i: -row[i])
        picture, caption = _picture(own, small, classes, order[0], view)
        captions = [caption, decoded.note, "calibrated" if own.is_calibrated(classes) else "", *own.notes(classes)]
        return Answer(run, [(known[i], row[i]) for i in order[:TOP_K]], picture, [c for c in captions if c])


def parse_classes(text: str, most: int) -> tuple[str, ...]:
    """Class names separated by commas or lines; () for blank text. Raises `UserError` if they cannot be used."""
    names = tuple(name for part in re.split(r"[,\n]", text) if (name := part.strip()))
    if len(names) > most:
        raise UserError(f"{len(names)} class names were written; at most {most} are used")
    if names:
        checks.classnames(names)
        checks.printable("class name", names)
    return names


def _picture(
    own: Classifier, image: DecodedImage, classes: tuple[str, ...], label: int, view: View
) -> tuple[bytes, str]:
    """The picture of an image, and its caption."""
    plain = image_bytes(image.image, side=SIDE, kind="jpeg")
    if view == "image":
        return plain, ""
    if view == "mask" and image.mask is not None:
        return _masked(image, image.mask), "mask: opacity of the file"
    maps = gradcam_maps(own.with_classes(classes).model, [image.image], [label])
    if maps is None or not bool(maps[0].any()):
        return plain, NO_GRADCAM if maps is None else EMPTY_GRADCAM
    if view == "saliency":
        return heatmap_bytes(image.image, maps[0], side=SIDE, kind="jpeg"), "Grad-CAM of the first class"
    mask = _foreground(maps[0])
    return _masked(image, mask), "mask: Grad-CAM above half its maximum"


def _masked(image: DecodedImage, mask: Any) -> bytes:
    return encode_image(draw_masks(image.image, [mask], side=SIDE, dim=True), "jpeg")


def _foreground(saliency: Tensor) -> np.ndarray:
    return np.where(saliency.numpy()[None] >= THRESHOLD, 255, 0).astype(np.uint8)
