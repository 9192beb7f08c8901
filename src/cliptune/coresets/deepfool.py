"""Pictures near the boundary of two classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool

#: Rows of `(rows, C)` looked at together.
CHUNK = 4096


def deepfool(pool: Pool) -> Selection:
    """The nearest to another class: the smallest squared length of the step across the nearest boundary,
    min_{k != y} ((t_k - t_y) . v)^2 / ||t_k - t_y||^2 with y the predicted class (Moosavi-Dezfooli, Fawzi & Frossard,
    DeepFool, CVPR 2016, section 3.1; as a rule of choice: Ducoffe & Precioso, Adversarial Active Learning for Deep
    Networks, 2018). `scores` hold that square.

    The step is in feature space, where CLIP's classifier is linear and one step is exact; on the sphere of features the
    order is the same. Both papers step in pixels.
    """
    import torch

    features, text = pool.need("features", "text")
    apart = torch.cdist(text, text, compute_mode="donot_use_mm_for_euclid_dist")
    scores = []
    for v in features.split(CHUNK):
        f = v @ text.T
        best, y = f.max(1, keepdim=True)
        step = (best - f) / apart[y[:, 0]]
        # no step leads to a class with the same text
        scores.append(step.nan_to_num(nan=torch.inf).scatter(1, y, torch.inf).amin(1).square())
    return pool.extreme(torch.cat(scores), largest=False)
