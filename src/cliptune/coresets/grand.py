"""GraNd: images with large gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool


def grand(pool: Pool) -> Selection:
    """Select the largest gradient norms ||G_i|| (Paul, Ganguli & Dziugaite, Deep Learning on a Data Diet, NeurIPS 2021,
    definition 2.1), of the last layer.

    `scores` is the norm, of the one model that the signals come from; the paper averages over models early in training.

    "dapt" divides by the size of the batch of 50, so images of a smaller last batch have larger scores.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients

    rows = torch.arange(len(pool.labels), device=pool.labels.device)
    return pool.select_by_score(Gradients.from_pool(pool, rows).norms(), largest=True)
