"""Herding: images whose mean feature approximates that of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def herding(pool: Pool) -> Selection:
    """Add, one at a time, the image that brings the mean feature of the selection nearest to the mean mu of all images:
    argmin_j ||mu - (sum_{s in S} v_s + v_j) / (k + 1)|| (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4, after Welling,
    Herding Dynamical Weights to Learn, ICML 2009).

    "dapt" takes argmax instead of argmin, of h_i = (v_i + t_{y_i}) / 2 with the class features t. Within a class,
    argmin would select the same images from h as from v.
    """
    import torch

    from cliptune.coresets.common.greedy import first_largest

    (features,) = pool.require("features")
    dapt = pool.variant == "dapt"
    if dapt:
        (text,) = pool.require("text")
        features = (features + text[pool.labels]) / 2

    def choose(group: Group) -> Tensor:
        h = features[group.rows]
        mean, square = h.mean(0), h.square().sum(1)
        target, excluded = mean.clone(), torch.zeros_like(square)
        picks = []
        for _ in range(group.budget):  # target is (k + 1) mu - sum_S h_s
            distance = square - 2 * (h @ target)  # ||target - h_j||^2 up to a constant
            best = first_largest((distance if dapt else -distance) - excluded)
            picks.append(best)
            excluded[best] = torch.inf
            target = target + mean - h[best]
        return torch.stack(picks)

    return pool.select_by_group(choose)
