"""The loss of telling classes apart, which every method has."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cliptune.types import Batch


def classification(logits: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of logits `(b, C)` with the batch's labels, or with all classes of a picture -> scalar.

    Multi-label data: mean_b sum_c y_bc (-log p_bc), p the softmax of the logits and y 1 for each class in the picture,
    as DAPT e556f17 trains on VOC (`F.cross_entropy` with multi-hot targets). A softmax, since a cosine of CLIP says
    something only beside those of other sentences: a sigmoid of it, about 0.2 times 100, is 1 for every class. With one
    class in each picture it is the loss of single-label data. A picture weighs as much as it shows classes; targets of
    1/k, which weigh pictures alike (Mahajan et al., ECCV 2018, section 2.2), have the same minimum for each picture.

    Columns that no class has, such as sentences that a wrapper lets compete, are wrong for every picture.
    """
    if batch.targets is None:
        return F.cross_entropy(logits, batch.labels)
    wanted = F.pad(batch.targets, (0, logits.shape[1] - batch.targets.shape[1]))
    return F.cross_entropy(logits, wanted.to(logits.dtype))
