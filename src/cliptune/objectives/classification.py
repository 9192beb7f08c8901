"""The loss of telling classes apart, which every method has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.types import Batch

if TYPE_CHECKING:
    from torch import Tensor


def classification_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits `(b, C)` with the batch's labels, or with all classes of a picture -> scalar.

    Multi-label data: mean_b sum_c y_bc (-log p_bc), p the softmax of the logits and y 1 for each class in the picture,
    as DAPT e556f17 trains on VOC (`F.cross_entropy` with multi-hot targets). A softmax, since a cosine of CLIP says
    something only beside those of other sentences: a sigmoid of it, about 0.2 times 100, is 1 for every class. With one
    class in each picture it is the loss of single-label data. A picture weighs as much as it shows classes; targets of
    1/k, which weigh pictures alike (Mahajan et al., ECCV 2018, section 2.2), have the same minimum for each picture.

    Columns that no class has, such as sentences that a wrapper lets compete, are wrong for every picture.

    With weights: mean_b w_b CE_b, the weight on the loss as coresets define it (Mirzasoleiman et al., ICML 2020: the
    sum of w_b grad CE_b stands for that of all pictures), not on the logits as DAPT e556f17 has it. They are 1 on
    average over the training set, not over each batch, so that a picture weighs the same whatever its company.
    """
    import torch.nn.functional as F

    wanted = batch.labels
    if batch.targets is not None:
        wanted = F.pad(batch.targets, (0, logits.shape[1] - batch.targets.shape[1])).to(logits.dtype)
    if batch.weights is None:
        return F.cross_entropy(logits, wanted)
    return (batch.weights * F.cross_entropy(logits, wanted, reduction="none")).mean()
