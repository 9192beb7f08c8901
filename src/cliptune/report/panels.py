"""One test picture and what each method says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Why an answer may have no saliency: the backbone has no place for Grad-CAM, or the map is zero everywhere.
NO_GRADCAM = "no Grad-CAM: the image tower is no ViT"
EMPTY_GRADCAM = "Grad-CAM is zero all over"
#: Why a method may have no answer to an image.
NO_PREDICTION = "not asked: it does not know these classes, or has no checkpoint"


@dataclass(frozen=True)
class Prediction:
    """A method's top class, its probability in [0, 1], and whether that is right.

    `saliency` is where it looked: float `(h, w)` in [0, 1], of any size, array or CPU tensor, or None. `why` says why
    there is none.
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
    """A test picture: `image` uint8 `(3, H, W)`, `mask` uint8 `(1, H, W)` with 255 = foreground or None.

    Both may be arrays or CPU tensors.
    `title` says what it shows ("monkey on grass"), `label` where it is from ("base/swap"), `untuned` whose answer the
    others gain or lose against, if it is among them.
    """

    title: str
    label: str
    image: Any
    mask: Any
    answers: tuple[Prediction, ...]
    untuned: str = ""

    def turned(self, answer: Prediction) -> str:
        """ "gained" or "lost" where the untuned model's answer was wrong or right and this is not; else ""."""
        was = next((a.correct for a in self.answers if a.method == self.untuned), answer.correct)
        return "" if was == answer.correct else "gained" if answer.correct else "lost"

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be uint8 (3, H, W), got {image.dtype} {image.shape}")
        if self.mask is not None and np.shape(self.mask) != (1, *image.shape[1:]):
            raise ValueError(f"mask must be (1, H, W) of its image's {image.shape[1:]}, got {np.shape(self.mask)}")
