"""Weighted pictures whose gradients stand for those of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.distances import DistanceKernel
    from cliptune.coresets.common.pool import Pool


def craig(pool: Pool, *, slack: float | None = None) -> Selection:
    """Facility location over distances of gradients, s_ij = max D - D_ij with D_ij = ||G_i - G_j||, class by class;
    the weight of a chosen picture is how many of its class have it nearest, itself included (Mirzasoleiman, Bilmes &
    Leskovec, Coresets for Data-efficient Training of Machine Learning Models, ICML 2020, section 3 and algorithm 1).
    G is the gradient of the last layer; weights sum to the size of the pool.

    Where classes compete (balanced=False), s is 0 between them, and weights sum to the size of the classes chosen from.

    slack: for classes of more than 56,755 pictures, as in `submodular`.

    "dapt" adds one to every weight, and takes gradients of the batches' mean losses.
    """
    import torch

    from cliptune.coresets.common.covering import greedy_cover
    from cliptune.coresets.common.distances import DistanceKernel
    from cliptune.coresets.common.gradients import Gradients

    twice = pool.variant == "dapt"
    found = []
    if pool.balanced:
        for group in pool.groups:
            apart = DistanceKernel.of(Gradients.of(pool, group.rows))
            found.append(_weighted(group.rows, apart, greedy_cover(apart, group.budget, slack, pool)[0], twice))
    else:
        if slack is not None:
            raise UserError(f"craig with slack={slack} goes class by class; balanced=False needs slack=None")
        # greedy over a sum of functions of different pictures takes the largest gains of each one's own greedy
        classes = [(pool.labels == c).nonzero()[:, 0] for c in pool.labels.unique()]
        covers = [greedy_cover(DistanceKernel.of(Gradients.of(pool, rows)), len(rows), None, pool) for rows in classes]
        gains = torch.cat([gain.cummin(0).values for _, gain in covers])  # they fall, but for rounding
        kept = torch.zeros_like(pool.labels, dtype=torch.bool)
        kept[gains.sort(descending=True, stable=True).indices[: pool.groups[0].budget]] = True
        for rows, (picks, _), mine in zip(classes, covers, kept.split([len(r) for r in classes]), strict=True):
            if bool(mine.any()):
                found.append(_weighted(rows, DistanceKernel.of(Gradients.of(pool, rows)), picks[mine], twice))
    indices, weights = zip(*found, strict=True)
    return Selection(torch.cat(indices), torch.cat(weights))


def _weighted(rows: Tensor, apart: DistanceKernel, picks: Tensor, twice: bool) -> tuple[Tensor, Tensor]:
    """The pictures at `picks` and how many of the class `rows` each stands for; the earlier of equals has them.

    twice: a picture counts itself again, and does not come before a twin to itself.
    """
    import torch

    picks = picks.sort().values
    nearest = apart.nearest(picks)
    if not twice:
        nearest[picks] = torch.arange(len(picks), device=picks.device)
    counts = torch.bincount(nearest, minlength=len(picks)).to(apart.norms.dtype)
    return rows[picks], counts + twice
