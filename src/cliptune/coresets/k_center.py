"""Pictures that leave nobody far away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def k_center(pool: Pool) -> Selection:
    """Greedy k-center on Euclidean distances of features (Sener & Savarese, Active Learning for Convolutional Neural
    Networks: A Core-Set Approach, ICLR 2018, algorithm 1, which starts from pictures already labelled). Nobody is here,
    so the first is drawn. The paper lets classes compete: balanced=False.

    "dapt" (DeepCore's code) draws the first with `np.random.seed(seed)` anew in each class.
    """
    import torch

    from cliptune.coresets.common.farthest import farthest_first
    from cliptune.coresets.common.room import announce

    (features,) = pool.need("features")

    def choose(group: Group) -> Tensor:
        v = features[group.rows]
        announce(pool.method, group.budget, v, v.shape[1])
        square = v.square().sum(1)

        def distances(index: Tensor) -> Tensor:
            apart = square + square[index][:, None] - 2 * (v[index] @ v.T)
            return apart.where(apart > 8 * torch.finfo(v.dtype).eps, 0)  # twins are 0 apart, in spite of rounding

        return farthest_first(distances, pool.first(len(v), pool.legacy()), group.budget)

    return pool.by_group(choose)
