"""GRAD-MATCH: weighted images whose gradients sum to that of all images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def gradmatch(pool: Pool, *, ridge: float | None = None, validation: bool = False) -> Selection:
    """Orthogonal matching pursuit of the summed gradient by weighted gradients of the selected images, min over w of
    ||sum_j w_j G_j - sum_i G_i||^2 + ridge ||w||^2, per class (Killamsetty et al., GRAD-MATCH, ICML 2021, algorithm 2).

    As in the authors' code, only images whose gradient points towards the remainder are added, and the final fit has
    non-negative weights, as they multiply a loss. ridge: 0.5 by default. validation: match the sum over the validation
    images, rescaled to the size of the pool.

    A group that is selected whole has weights of 1, unless validation images are matched. A weight may be 0: the image
    adds nothing to the match.

    "dapt" (DeepCore's code) matches the mean, has a ridge of 1 in all steps but the first, gives a single image the
    weight 1, and drops images of weight 0, so it may select fewer than requested.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients
    from cliptune.coresets.common.kernels import inner_products
    from cliptune.coresets.common.nnls import nnls

    dapt = pool.variant == "dapt"
    ridge = (1.0 if dapt else 0.5) if ridge is None else ridge
    checks.require(ridge > 0, "ridge", ridge, "above 0")
    if validation:
        pool.require("val_features", "val_labels")
    indices, weights = [], []
    for group in pool.groups:
        own = Gradients.from_pool(pool, group.rows, summed=True)
        if group.budget == len(own) and not dapt and not validation:
            picks, x = torch.arange(len(own), device=own.residual.device), torch.ones_like(own.residual[:, 0])
        else:
            other = own
            if validation:
                other = Gradients.from_pool(pool, _validation_rows(pool, group), val=True, summed=True)
            target = own.inner_mean(other) * (1 if dapt else len(own))
            gram = inner_products(own, pool.method)
            picks = _pursuit(gram, own.norms().square(), target, group.budget, ridge, dapt)
            among = own[picks].inner(own[picks])
            x = nnls(among.diagonal_scatter(among.diagonal() + ridge), target[picks])
            if dapt and group.budget == 1:
                x = torch.ones_like(x)
        if dapt:
            picks, x = picks[x != 0], x[x != 0]
        indices.append(group.rows[picks])
        weights.append(x)
    return Selection(torch.cat(indices), torch.cat(weights))


def _validation_rows(pool: Pool, group: Group) -> Tensor:
    (labels,) = pool.require("val_labels")
    rows = (labels == (labels if group.label is None else group.label)).nonzero()[:, 0]
    if not len(rows):
        raise UserError(f"gradmatch has no validation image of class {group.label}; use validation=False")
    return rows


def _pursuit(gram: Tensor, square: Tensor, target: Tensor, budget: int, ridge: float, dapt: bool) -> Tensor:
    """Positions `(budget,)` in the order selected.

    Each step fits all weights again. With the Cholesky factor of the selected images, that is one more row of the
    factor times one more coefficient, subtracted from what remains of the target.

    gram: inner products `(m, m)`. square: its exact diagonal `(m,)`. target: inner products `(m,)` with the sum to
    match.
    """
    import torch

    from cliptune.coresets.common.greedy import first_largest
    from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky

    cholesky = IncrementalCholesky(gram, square, ridge, budget)
    picks, remainder, score = [], target, target.clone()
    for k in range(budget):
        picks.append(best := first_largest(score))
        along = remainder[best]
        row, diagonal = cholesky.add(int(best))
        remainder = remainder - along / diagonal.sqrt() * row
        if k == 0 and dapt:  # the release has no ridge in its first step
            score = target - along / square[best].clamp_min(torch.finfo(square.dtype).tiny) * row * diagonal.sqrt()
        else:
            score = remainder.clone()
        score[torch.stack(picks)] = -torch.inf
    return torch.stack(picks)
