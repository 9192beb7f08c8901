"""Nearest neighbours, a chunk at a time."""

from __future__ import annotations

import torch
from torch import Tensor

#: Distances held together.
ENTRIES = 32_000_000


def nearest_neighbours(features: Tensor, k: int, *, first: bool = False) -> Tensor:
    """Positions `(m, min(k, m - 1))` of the nearest others of each row of `(m, d)` by Euclidean distance.

    first: leave out the nearest instead of the row itself, as the release does; they differ among twins.
    """
    m = len(features)
    k = min(k, m - 1)
    square = features.square().sum(1)
    parts = []
    for rows in torch.arange(m, device=features.device).split(max(1, ENTRIES // m)):
        apart = torch.addmm(square, features[rows], features.T, alpha=-2)
        if not first:
            apart[torch.arange(len(rows), device=rows.device), rows] = torch.inf
        found = apart.topk(k + first, largest=False).indices
        parts.append(found[:, 1:] if first else found)
    return torch.cat(parts)
