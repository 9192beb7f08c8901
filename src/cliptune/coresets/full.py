"""The full pool, the baseline of coresets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool


def full(pool: Pool) -> Selection:
    """Select every image, whatever the fraction."""
    import torch

    return Selection(torch.arange(len(pool.labels), device=pool.labels.device))
