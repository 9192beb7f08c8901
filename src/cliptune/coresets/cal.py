"""Pictures whose neighbours are classified differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Pool

#: Numbers of `(rows, neighbours, C)` held together.
ENTRIES = 16_000_000


def cal(pool: Pool, *, neighbours: int = 10) -> Selection:
    """The largest mean KL(p_neighbour || p_i) over the nearest neighbours in feature space, of whatever class
    (Margatina et al., Active Learning by Acquiring Contrastive Examples, EMNLP 2021, algorithm 1). `scores` hold that
    mean. The paper finds neighbours among the labelled pictures; here all are.

    "dapt" takes the *smallest* mean of KL(p_i || p_neighbour) / 2 + KL(p_neighbour || p_i) / 2, neighbours within the
    class by (v_i + t_{y_i}) / 2; with balanced=True it looks up the probabilities of position i in a list that is
    sorted by class, which is right only where the pool is.
    """
    import torch

    from cliptune.coresets.common.neighbours import nearest_neighbours
    from cliptune.coresets.common.room import announce

    checks.require(neighbours >= 1, "neighbours", neighbours, "at least 1")
    (features,) = pool.need("features")
    if pool.variant == "paper":
        announce(pool.method, len(features), features, features.shape[1])
        near = nearest_neighbours(features, neighbours)
        scores = _divergence(pool.logits(), near, symmetric=False)
        return pool.extreme(scores, largest=True)
    (text,) = pool.need("text")
    features = (features + text[pool.labels]) / 2
    stored = torch.cat([g.rows for g in pool.groups])
    scores = features.new_zeros(len(features))
    for group in pool.groups:
        near = nearest_neighbours(features[group.rows], neighbours, first=True)
        scores[group.rows] = _divergence(pool.logits(stored[group.rows]), near, symmetric=True)
    return pool.extreme(scores, largest=False)


def _divergence(logits: Tensor, near: Tensor, *, symmetric: bool) -> Tensor:
    """Mean divergence `(m,)` of each row of `(m, C)` from the rows `near` `(m, k)`; 0 where there are none."""
    import torch

    m, k = near.shape
    if k == 0:
        return logits.new_zeros(m)
    log = logits.log_softmax(1)
    p = log.exp()
    own = (p * log).sum(1)
    parts = []
    for rows in torch.arange(m, device=logits.device).split(max(1, ENTRIES // (k * logits.shape[1]))):
        theirs = near[rows]
        mean = p[theirs].mean(1)
        there = own[theirs].mean(1) - (mean * log[rows]).sum(1)  # KL(neighbour || own)
        if symmetric:
            here = own[rows] - (p[rows] * log[theirs].mean(1)).sum(1)
            there = (there + here) / 2
        parts.append(there)
    return torch.cat(parts)
