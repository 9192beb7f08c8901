"""CRAIG: weighted images whose gradients represent those of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Pool

#: Added to every similarity, as in the release, so that the first image has a gain even if all images are equal.
OFFSET = 1e-3


def craig(pool: Pool) -> Selection:
    """Greedy facility location per class on s_ij = max D - D_ij with the gradient distances D_ij = ||G_i - G_j||
    (Mirzasoleiman, Bilmes & Leskovec, Coresets for Data-efficient Training of Machine Learning Models, ICML 2020,
    section 3 and algorithm 1).

    G is the gradient of the last layer. The weight of a selected image is the number of images of its class that are
    nearest to it, itself included; weights sum to the size of the pool. With balanced=False, s is 0 between classes,
    and weights sum to the size of the classes that have a selected image.

    "dapt" adds 1 to every weight, and takes gradients of the mean loss of a batch.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients
    from cliptune.coresets.common.greedy import facility_location
    from cliptune.coresets.common.kernels import distances

    def pairwise(rows: Tensor) -> Tensor:
        return distances(Gradients.from_pool(pool, rows), pool.method)

    def cover(distance: Tensor, budget: int) -> tuple[Tensor, Tensor]:
        largest = distance.max()
        return facility_location(lambda index: largest - distance[index] + OFFSET, len(distance), budget)

    dapt, parts = pool.variant == "dapt", []
    if pool.balanced:
        for group in pool.groups:
            distance = pairwise(group.rows)
            parts.append(_weighted(group.rows, distance, cover(distance, group.budget)[0], dapt))
    else:
        # The classes' terms are independent: greedy takes the largest gains of each class's own greedy run.
        classes = [(pool.labels == c).nonzero()[:, 0] for c in pool.labels.unique()]
        covers = [cover(pairwise(rows), len(rows)) for rows in classes]
        gains = torch.cat([gain.cummin(0).values for _, gain in covers])  # they decrease up to rounding
        selected = torch.zeros_like(pool.labels, dtype=torch.bool)
        selected[gains.sort(descending=True, stable=True).indices[: pool.groups[0].budget]] = True
        for rows, (picks, _), mine in zip(classes, covers, selected.split([len(r) for r in classes]), strict=True):
            if bool(mine.any()):
                parts.append(_weighted(rows, pairwise(rows), picks[mine], dapt))
    indices, weights = zip(*parts, strict=True)
    return Selection(torch.cat(indices), torch.cat(weights))


def _weighted(rows: Tensor, distance: Tensor, picks: Tensor, dapt: bool) -> tuple[Tensor, Tensor]:
    """The images at `picks`, and the number of images among `rows` nearest to each; the earlier image wins a tie.

    distance: Pairwise distances of the images `rows` of a class. dapt: Count a selected image twice, and let an earlier
    duplicate represent it.
    """
    import torch

    picks = picks.sort().values
    nearest = distance[:, picks].argmin(1)
    if not dapt:
        nearest[picks] = torch.arange(len(picks), device=picks.device)
    counts = torch.bincount(nearest, minlength=len(picks)).to(distance.dtype)
    return rows[picks], counts + dapt
