"""Cross-entropy of a classifier that images and the texts of their classes share (DePT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.objectives.classification import classification_loss
from cliptune.types import Batch

if TYPE_CHECKING:
    from torch import Tensor


def class_pairs(batch: Batch) -> tuple[Tensor, Tensor]:
    """Every class of every image: the index of the image and the class, `(n,)` each. n is the size of the batch, or the
    number of ones in the targets of multi-label data."""
    import torch

    if batch.targets is not None:
        image, label = batch.targets.nonzero(as_tuple=True)
        return image, label
    return torch.arange(len(batch.labels), device=batch.labels.device), batch.labels


def shared_classifier_loss(image: Tensor, text: Tensor, batch: Batch) -> Tensor:
    """Mean of the cross-entropy of images and that of the texts of their classes -> scalar (DePT).

    With one class per image this is the mean over the 2b rows of images and of texts. Multi-label data: the texts of
    all classes of an image count, as its classes do in `classification_loss`, and with the same weights.

    image: Logits `(b, C)`. text: Logits `(n, C)` of the texts of `class_pairs`.
    """
    import torch.nn.functional as F

    of, labels = class_pairs(batch)
    losses = F.cross_entropy(text, labels, reduction="none")
    if batch.weights is not None:
        losses = batch.weights[of] * losses
    return (classification_loss(image, batch) + losses.sum() / len(image)) / 2
