"""Uniform random sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def uniform(pool: Pool) -> Selection:
    """Draw images without replacement.

    "dapt" draws the same images as the release: `np.random.seed(seed)`, then `choice` class by class.
    """
    import torch

    legacy = pool.legacy_generator()

    def choose(group: Group) -> Tensor:
        if pool.variant == "dapt":
            return torch.from_numpy(legacy.choice(len(group.rows), group.budget, replace=False))
        device = pool.generator.device
        return torch.randperm(len(group.rows), generator=pool.generator, device=device)[: group.budget]

    return Selection(torch.cat([group.rows[choose(group).to(group.rows.device)] for group in pool.groups]))
