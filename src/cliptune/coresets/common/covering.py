"""Which way of greedy facility location a group of pictures takes."""

from __future__ import annotations

import math

from torch import Tensor

from cliptune import checks
from cliptune.coresets.common.cosine import CosineKernel
from cliptune.coresets.common.distances import DistanceKernel
from cliptune.coresets.common.facility import facility_location
from cliptune.coresets.common.pool import Pool
from cliptune.coresets.common.room import announce
from cliptune.coresets.common.rounded import Rounded
from cliptune.coresets.common.sampled import sampled_facility_location
from cliptune.errors import UserError


def greedy_cover(
    kernel: CosineKernel | DistanceKernel, budget: int, slack: float | None, pool: Pool
) -> tuple[Tensor, Tensor]:
    """Positions `(budget,)` in the order chosen, and their gains: of the lazy greedy, or with a slack of the one that
    draws. Raises `UserError` where there are too many pictures to look at all, and for a slack that is none."""
    size = len(kernel)
    if slack is None:
        if not Rounded.fits(size):
            raise UserError(
                f"{pool.method} would compare all {size} pictures at once with each other; give it a slack, such as "
                f"0.01, with which it looks at a few at a time, or a smaller pool"
                + (", or balanced=True, which goes class by class" if not pool.balanced else "")
            )
        return facility_location(kernel.lookup(), size, budget)
    checks.require(0 < slack < 1, "slack", slack, "above 0 and below 1")
    if not Rounded.fits(size):
        announce(pool.method, budget, kernel.norms, size / budget * math.log(1 / slack) * kernel.gradients.width)
    return sampled_facility_location(kernel.lookup(), size, budget, slack, pool.generator)
