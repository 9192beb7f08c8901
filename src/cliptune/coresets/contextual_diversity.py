"""Contextual diversity: images whose predicted probabilities differ from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def contextual_diversity(pool: Pool) -> Selection:
    """Greedy k-center on the distance KL(p_i || p_j) / 2 + KL(p_j || p_i) / 2 of the predicted probabilities (Agarwal
    et al., Contextual Diversity for Active Learning, ECCV 2020, CDAL-CS).

    The paper averages that distance over mixtures of the regions of each predicted class; an image to classify is one
    region. The first image is drawn at random.

    "dapt" (DeepCore's code) draws the first image of each class after `np.random.seed(seed)`.
    """

    import torch

    from cliptune.coresets.common.greedy import farthest_first

    def choose(group: Group) -> Tensor:
        logits = pool.logits(group.rows)
        # sum (p - q)(log p - log q): the normaliser of log p is the same for all classes and cancels
        z = logits - logits.amax(1, keepdim=True)
        p = z.softmax(1)
        own = (p * z).sum(1)

        def distances(index: Tensor) -> Tensor:
            cross = p[index] @ z.T + z[index] @ p.T
            distance = own + own[index][:, None] - cross
            rounding = 8 * torch.finfo(z.dtype).eps * (cross.abs() + 1)
            return distance.where(distance > rounding, 0) / 2

        return farthest_first(distances, pool.draw_first(len(z), pool.legacy_generator()), group.budget)

    return pool.select_by_group(choose)
