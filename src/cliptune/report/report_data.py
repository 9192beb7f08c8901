"""Contents of a report other than records: panels of test images, confusion counts, learned prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cliptune.report.confusion import ConfusionCounts
from cliptune.report.own_data import OwnDataFindings
from cliptune.report.reliance_records import RelianceRecord

#: Why a prediction may have no saliency: the backbone does not support Grad-CAM, or the map is zero everywhere.
NO_GRADCAM = "no Grad-CAM: the image tower is not a ViT"
EMPTY_GRADCAM = "Grad-CAM is zero everywhere"
#: Why a method may have no prediction for an image.
NO_PREDICTION = "no prediction: no checkpoint, or it does not support these classes"
#: (word, distance or similarity) pairs for each context vector, nearest first.
NearestWords = tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True)
class Prediction:
    """A method's predicted class, its probability in [0, 1], and whether it is correct.

    `saliency` is a float map `(h, w)` in [0, 1] of any size, an array or CPU tensor, or None for the reason in `why`.
    """

    method: str
    prediction: str
    probability: float
    correct: bool
    saliency: Any = None
    why: str = NO_GRADCAM

    def __post_init__(self) -> None:
        if self.saliency is not None and np.ndim(self.saliency) != 2:
            raise ValueError(f"saliency must be (h, w), got {np.shape(self.saliency)}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be in [0, 1], got {self.probability}")


@dataclass(frozen=True)
class Panel:
    """A test image and its predictions.

    `image` is uint8 `(3, H, W)`; `mask` is uint8 `(1, H, W)` with 255 = foreground, or None. Both may be arrays or CPU
    tensors. `title` describes the image ("monkey on grass"), `label` names the test set ("base/swap"), and `untuned`
    the method that the others are compared with.
    """

    title: str
    label: str
    image: Any
    mask: Any
    answers: tuple[Prediction, ...]
    untuned: str = ""

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be uint8 (3, H, W), got {image.dtype} {image.shape}")
        if self.mask is not None and np.shape(self.mask) != (1, *image.shape[1:]):
            raise ValueError(f"mask must be (1, H, W) with the image's {image.shape[1:]}, got {np.shape(self.mask)}")

    def turned(self, answer: Prediction) -> str:
        """Compare with the untuned model: "gained" if only `answer` is correct, "lost" if only that one is, else ""."""
        was = next((a.correct for a in self.answers if a.method == self.untuned), answer.correct)
        return "" if was == answer.correct else "gained" if answer.correct else "lost"


@dataclass(frozen=True)
class PromptWords:
    """Nearest words to a method's context vectors, by Euclidean distance and by cosine similarity."""

    method: str
    euclidean: NearestWords
    cosine: NearestWords


@dataclass(frozen=True)
class FeatureShift:
    """Relative change of the pooled token of both towers after each block when a method's tokens are added.

    `text` and `image` are measured after training, `text_start` and `image_start` before the first step.
    """

    method: str
    text: tuple[float, ...]
    image: tuple[float, ...]
    text_start: tuple[float, ...] = ()
    image_start: tuple[float, ...] = ()


@dataclass(frozen=True)
class ReportData:
    """Data that the page shows besides the records; all fields are optional.

    Args:
        panels, classes, words, shifts: collected from the checkpoints of one task.
        reliance: background reliance by method, from files next to the records.
        task: a description of the task of the checkpoints.
        own: mistakes, wrong labels, duplicates and calibration of a user's own images, or None.
        notes: further footnotes as plain text.
    """

    panels: Sequence[Panel] = ()
    classes: Sequence[ConfusionCounts] = ()
    words: Sequence[PromptWords] = ()
    shifts: Sequence[FeatureShift] = ()
    reliance: Mapping[str, Sequence[RelianceRecord]] = field(default_factory=dict)
    task: str = ""
    own: OwnDataFindings | None = None
    notes: Sequence[str] = ()
