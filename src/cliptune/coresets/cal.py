"""Contrastive active learning (CAL): images that are classified differently from their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Pool

#: Number of distances, and of entries `(rows, neighbours, C)`, computed at a time.
CHUNK_DISTANCES, CHUNK_ENTRIES = 32_000_000, 16_000_000


def cal(pool: Pool, *, neighbours: int = 10) -> Selection:
    """Select the largest mean KL(p_neighbour || p_i) over the nearest neighbours in feature space, of any class
    (Margatina et al., Active Learning by Acquiring Contrastive Examples, EMNLP 2021, algorithm 1).

    `scores` is that mean. The paper searches the labelled images for neighbours; here all images are labelled.

    "dapt" selects the *smallest* mean of KL(p_i || p_neighbour) / 2 + KL(p_neighbour || p_i) / 2, with neighbours
    within the class by (v_i + t_{y_i}) / 2. With balanced=True it reads the probabilities of position i from a list
    sorted by class, which is correct only if the pool is sorted by class.
    """
    import torch

    checks.require(neighbours >= 1, "neighbours", neighbours, "at least 1")
    (features,) = pool.require("features")
    if pool.variant == "paper":
        near = nearest_neighbours(features, neighbours)
        scores = _mean_divergence(pool.logits(), near, symmetric=False)
        return pool.select_by_score(scores, largest=True)
    (text,) = pool.require("text")
    features = (features + text[pool.labels]) / 2
    by_class = torch.cat([g.rows for g in pool.groups])
    scores = features.new_zeros(len(features))
    for group in pool.groups:
        near = nearest_neighbours(features[group.rows], neighbours, drop_first=True)
        scores[group.rows] = _mean_divergence(pool.logits(by_class[group.rows]), near, symmetric=True)
    return pool.select_by_score(scores, largest=False)


def nearest_neighbours(features: Tensor, k: int, *, drop_first: bool = False) -> Tensor:
    """Positions `(m, min(k, m - 1))` of the nearest other rows of each row of `(m, d)` by Euclidean distance.

    drop_first: exclude the nearest row instead of the row itself, as the DAPT release does; they differ for duplicates.
    """
    import torch

    m = len(features)
    k = min(k, m - 1)
    square = features.square().sum(1)
    parts = []
    for rows in torch.arange(m, device=features.device).split(max(1, CHUNK_DISTANCES // m)):
        distance = torch.addmm(square, features[rows], features.T, alpha=-2)
        if not drop_first:
            distance[torch.arange(len(rows), device=rows.device), rows] = torch.inf
        found = distance.topk(k + drop_first, largest=False).indices
        parts.append(found[:, 1:] if drop_first else found)
    return torch.cat(parts)


def _mean_divergence(logits: Tensor, near: Tensor, *, symmetric: bool) -> Tensor:
    """Mean KL divergence `(m,)` of each row of `(m, C)` from its rows `near` `(m, k)`; 0 for k = 0."""
    import torch

    m, k = near.shape
    if k == 0:
        return logits.new_zeros(m)
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    negative_entropy = (p * log_p).sum(1)
    parts = []
    for rows in torch.arange(m, device=logits.device).split(max(1, CHUNK_ENTRIES // (k * logits.shape[1]))):
        index = near[rows]
        divergence = negative_entropy[index].mean(1) - (p[index].mean(1) * log_p[rows]).sum(1)  # KL(p_near || p_i)
        if symmetric:
            reverse = negative_entropy[rows] - (p[rows] * log_p[index].mean(1)).sum(1)  # KL(p_i || p_near)
            divergence = (divergence + reverse) / 2
        parts.append(divergence)
    return torch.cat(parts)
