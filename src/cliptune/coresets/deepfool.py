"""DeepFool: images near a decision boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool

#: Number of rows of `(rows, C)` computed at a time.
CHUNK_ROWS = 4096


def deepfool(pool: Pool) -> Selection:
    """Select the smallest squared length of the step across the nearest boundary, min_{k != y} ((t_k - t_y) . v)^2 /
    ||t_k - t_y||^2 with the predicted class y (Moosavi-Dezfooli, Fawzi & Frossard, DeepFool, CVPR 2016, section 3.1;
    as a selection rule: Ducoffe & Precioso, Adversarial Active Learning for Deep Networks, 2018).

    `scores` is that square. The step is in feature space, where CLIP's classifier is linear and one step is exact; the
    normalisation of features does not change the order. Both papers step in pixels.
    """
    import torch

    features, text = pool.require("features", "text")
    text_distance = torch.cdist(text, text, compute_mode="donot_use_mm_for_euclid_dist")
    scores = []
    for v in features.split(CHUNK_ROWS):
        f = v @ text.T
        best, y = f.max(1, keepdim=True)
        step = (best - f) / text_distance[y[:, 0]]
        # No step leads to a class with the same text features: 0 / 0.
        scores.append(step.nan_to_num(nan=torch.inf).scatter(1, y, torch.inf).amin(1).square())
    return pool.select_by_score(torch.cat(scores), largest=False)
