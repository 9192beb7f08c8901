"""k-center: images such that every image is near a selected one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def k_center(pool: Pool) -> Selection:
    """Greedy k-center on Euclidean distances of features (Sener & Savarese, Active Learning for Convolutional Neural
    Networks: A Core-Set Approach, ICLR 2018, algorithm 1).

    The paper starts from labelled images and ignores classes (balanced=False). Here, the first image is drawn at
    random.

    "dapt" (DeepCore's code) draws the first image of each class after `np.random.seed(seed)`.
    """
    import torch

    from cliptune.coresets.common.greedy import farthest_first

    (features,) = pool.require("features")

    def choose(group: Group) -> Tensor:
        v = features[group.rows]
        square = v.square().sum(1)

        def distances(index: Tensor) -> Tensor:
            distance = square + square[index][:, None] - 2 * (v[index] @ v.T)
            return distance.where(distance > 8 * torch.finfo(v.dtype).eps, 0)  # exactly 0 for duplicates

        return farthest_first(distances, pool.draw_first(len(v), pool.legacy_generator()), group.budget)

    return pool.select_by_group(choose)
