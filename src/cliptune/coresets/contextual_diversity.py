"""Pictures that are confused in different ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def contextual_diversity(pool: Pool) -> Selection:
    """Greedy k-center on the distance KL(p_i || p_j) / 2 + KL(p_j || p_i) / 2 of the predicted probabilities (Agarwal
    et al., Contextual Diversity for Active Learning, ECCV 2020, CDAL-CS, which averages that distance over mixtures of
    the regions of each predicted class; a picture to classify is one region). The first is drawn.

    "dapt" (DeepCore's code) draws the first with `np.random.seed(seed)` anew in each class.
    """

    import torch

    from cliptune.coresets.common.farthest import farthest_first
    from cliptune.coresets.common.room import announce

    def choose(group: Group) -> Tensor:
        logits = pool.logits(group.rows)
        announce(pool.method, group.budget, logits, 2 * logits.shape[1])
        # sum (p - q)(log p - log q): what log p and the logits differ by is the same for all classes and drops out
        z = logits - logits.amax(1, keepdim=True)
        p = z.softmax(1)
        own = (p * z).sum(1)

        def distances(index: Tensor) -> Tensor:
            cross = p[index] @ z.T + z[index] @ p.T
            apart = own + own[index][:, None] - cross
            rounding = 8 * torch.finfo(z.dtype).eps * (cross.abs() + 1)
            return apart.where(apart > rounding, 0) / 2

        return farthest_first(distances, pool.first(len(z), pool.legacy()), group.budget)

    return pool.by_group(choose)
