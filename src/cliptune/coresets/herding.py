"""Pictures whose mean is the mean of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def herding(pool: Pool) -> Selection:
    """Add, one at a time, the picture that brings the mean feature of the chosen nearest to the mean mu of all:
    argmin_j ||mu - (sum_{s in S} v_s + v_j) / (k + 1)|| (Rebuffi et al., iCaRL, CVPR 2017, algorithm 4, after Welling,
    Herding Dynamical Weights to Learn, ICML 2009).

    "dapt" takes argmax in place of argmin, of h_i = (v_i + t_{y_i}) / 2 with the class features t. Within a class
    argmin would choose the same from h as from v.
    """
    import torch

    from cliptune.coresets.common.argmax import first_largest
    from cliptune.coresets.common.room import ALONE, announce

    (features,) = pool.need("features")
    dapt = pool.variant == "dapt"
    if dapt:
        (text,) = pool.need("text")
        features = (features + text[pool.labels]) / 2

    def choose(group: Group) -> Tensor:
        h = features[group.rows]
        announce(pool.method, group.budget, h, ALONE * h.shape[1])
        mean, square = h.mean(0), h.square().sum(1)
        wanted, taken = mean.clone(), torch.zeros_like(square)
        picks = []
        for _ in range(group.budget):  # wanted is (k + 1) mu - sum_S h_s
            miss = square - 2 * (h @ wanted)  # ||wanted - h_j||^2 but for what is the same for all j
            best = first_largest((miss if dapt else -miss) - taken)
            picks.append(best)
            taken[best] = torch.inf
            wanted = wanted + mean - h[best]
        return torch.stack(picks)

    return pool.by_group(choose)
