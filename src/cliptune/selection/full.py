"""All pictures."""

from __future__ import annotations

import torch

from cliptune.selection.base import Selection
from cliptune.selection.parts.pool import Pool


def full(pool: Pool) -> Selection:
    """Every picture, whatever the fraction: what coresets are compared with."""
    return Selection(torch.arange(len(pool.labels), device=pool.labels.device))
