"""Pictures with large gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool


def grand(pool: Pool) -> Selection:
    """The largest gradient norms ||G_i|| (Paul, Ganguli & Dziugaite, Deep Learning on a Data Diet, NeurIPS 2021,
    definition 2.1), here of the last layer and of the one model the signals are of; the paper averages over models
    early in training. `scores` hold the norms.

    "dapt" divides by the size of the batch of 50, so pictures of a smaller last batch seem larger.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients

    rows = torch.arange(len(pool.labels), device=pool.labels.device)
    return pool.extreme(Gradients.of(pool, rows).norms(), largest=True)
