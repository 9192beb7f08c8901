"""The classification loss of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.errors import UserError
from cliptune.types import Batch

if TYPE_CHECKING:
    from torch import Tensor


def classification_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits `(b, C)` with the batch's labels, or with all classes of each image -> scalar.

    Multi-label data: mean_b sum_c y_bc (-log p_bc), with p the softmax of the logits and y_bc = 1 for each class in the
    image, as in DAPT e556f17 for VOC (`F.cross_entropy` with multi-hot targets). A softmax is used because CLIP's
    cosines are only meaningful relative to each other: their sigmoid, of about 0.2 times 100, is 1 for every class.
    With one class per image this equals the single-label loss. An image's weight is its number of classes; targets of
    1/k, which weigh images equally (Mahajan et al., ECCV 2018, section 2.2), have the same minimum for each image.

    Columns beyond the classes, such as the extra prompts of a wrapper, are wrong for every image.

    With `batch.weights`: mean_b w_b CE_b, weights on the loss as coresets define them (Mirzasoleiman et al., ICML 2020:
    the sum of w_b grad CE_b approximates the sum over all images), not on the logits as in DAPT e556f17. Weights
    average to 1 over the training set rather than over each batch, so an image's weight does not depend on its batch.

    Raises `UserError` for unlabelled images.
    """
    import torch.nn.functional as F

    if not batch.labelled:
        raise UserError(
            "the training images are an unlabelled pool, so there is no cross-entropy with their labels; a method or "
            "wrapper that needs labels cannot be combined with one that trains on a pool"
        )

    target = batch.labels
    if batch.targets is not None:
        target = F.pad(batch.targets, (0, logits.shape[1] - batch.targets.shape[1])).to(logits.dtype)
    if batch.weights is None:
        return F.cross_entropy(logits, target)
    return (batch.weights * F.cross_entropy(logits, target, reduction="none")).mean()
