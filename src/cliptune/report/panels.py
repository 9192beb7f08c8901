"""A test image and the prediction of each method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Why a prediction may have no saliency: the backbone does not support Grad-CAM, or the map is zero everywhere.
NO_GRADCAM = "no Grad-CAM: the image tower is not a ViT"
EMPTY_GRADCAM = "Grad-CAM is zero everywhere"
#: Why a method may have no prediction for an image.
NO_PREDICTION = "no prediction: no checkpoint, or it does not support these classes"


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

    def turned(self, answer: Prediction) -> str:
        """Compare with the untuned model: "gained" if only `answer` is correct, "lost" if only that one is, else ""."""
        was = next((a.correct for a in self.answers if a.method == self.untuned), answer.correct)
        return "" if was == answer.correct else "gained" if answer.correct else "lost"

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be uint8 (3, H, W), got {image.dtype} {image.shape}")
        if self.mask is not None and np.shape(self.mask) != (1, *image.shape[1:]):
            raise ValueError(f"mask must be (1, H, W) with the image's {image.shape[1:]}, got {np.shape(self.mask)}")
