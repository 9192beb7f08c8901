"""The input and the output of a coreset method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


#: "paper": as the method's paper defines it. "dapt": as the code released with DAPT computes it, including its errors.
Variant = Literal["paper", "dapt"]

#: Batch size of the DAPT release, which takes gradients of the mean loss of a batch.
DAPT_BATCH_SIZE = 50


@dataclass(frozen=True)
class Signals:
    """Data about a pool of n images of C classes. Every field is optional; an error names a field that a method needs.

    Args:
        features: `(n, d)`, L2-normalised image features.
        text: `(C, d)`, L2-normalised class features.
        logits: `(n, C)`; if absent, `logit_scale * features @ text.T`.
        logit_scale: Factor of the cosine similarities.
        correct: `(E, n)`, whether each image was classified correctly in epochs 1 to E of a training run.
        val_features: `(m, d)`, L2-normalised features of the validation images.
        val_labels: `(m,)`, their labels.
        val_logits: `(m, C)`, their logits.
    """

    features: Tensor | None = None
    text: Tensor | None = None
    logits: Tensor | None = None
    logit_scale: float | Tensor | None = None
    correct: Tensor | None = None
    val_features: Tensor | None = None
    val_labels: Tensor | None = None
    val_logits: Tensor | None = None


@dataclass(frozen=True)
class Selection:
    """The selected part of a pool of n images.

    Args:
        indices: `(k,)`, positions in the pool, ascending.
        weights: `(k,)`, the number of pool images that each selected image represents; a factor of its loss. None if
            all images have the same weight.
        scores: `(n,)`, the score of every image if the method ranks images one by one. The method's docstring says
            whether it selects the largest or the smallest.
    """

    indices: Tensor
    weights: Tensor | None = None
    scores: Tensor | None = None

    def ordered(self) -> Selection:
        """A copy with ascending indices."""
        indices, order = self.indices.sort()
        return Selection(indices, None if self.weights is None else self.weights[order], self.scores)
