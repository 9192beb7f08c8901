"""Weighted pictures whose gradients add up to those of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool


def gradmatch(pool: Pool, *, ridge: float | None = None, validation: bool = False) -> Selection:
    """Orthogonal matching pursuit of the summed gradient of all by weighted gradients of the chosen, min over w of
    ||sum_j w_j G_j - sum_i G_i||^2 + ridge ||w||^2 (Killamsetty et al., GRAD-MATCH, ICML 2021, algorithm 2, class
    by class). As in the authors' code, only what points towards the rest is added, and the last fit has no negative
    weights, for they multiply a loss. ridge: 0.5. validation: the sum is that of the held-out pictures, rescaled to the
    pool's size.

    A group wanted whole has weights of 1, unless it is to match held-out pictures. A weight may be 0: such a picture
    adds nothing to the match.

    "dapt" (DeepCore's code) matches the mean, has a ridge of 1 that the first step lacks, gives a lone picture the
    weight 1, and leaves pictures of weight 0 out, so it may choose fewer than asked.
    """
    import torch

    from cliptune.coresets.common.cosine import DENSE
    from cliptune.coresets.common.gradients import Gradients
    from cliptune.coresets.common.nnls import nnls
    from cliptune.coresets.common.room import announce

    dapt = pool.variant == "dapt"
    ridge = (1.0 if dapt else 0.5) if ridge is None else ridge
    checks.require(ridge > 0, "ridge", ridge, "above 0")
    if validation:
        pool.need("val_features", "val_labels")
    indices, weights = [], []
    for group in pool.groups:
        own = Gradients.of(pool, group.rows, summed=True)
        if group.budget == len(own) and not dapt and not validation:
            picks, x = torch.arange(len(own), device=own.residual.device), torch.ones_like(own.residual[:, 0])
        else:
            other = Gradients.of(pool, _held_out(pool, group), val=True, summed=True) if validation else own
            target = own.inner_mean(other) * (1 if dapt else len(own))
            announce(pool.method, group.budget, target, own.width + group.budget / 2)
            gram = own.inner(own) if len(own) <= DENSE else None
            rows = (lambda i, own=own: own[i].inner(own)) if gram is None else gram.__getitem__
            picks = _pursuit(rows, own.norms().square(), target, group.budget, ridge, pool)
            among = own[picks].inner(own[picks])
            x = nnls(among.diagonal_scatter(among.diagonal() + ridge), target[picks])
            if dapt and group.budget == 1:
                x = torch.ones_like(x)
        if dapt:
            picks, x = picks[x != 0], x[x != 0]
        indices.append(group.rows[picks])
        weights.append(x)
    return Selection(torch.cat(indices), torch.cat(weights))


def _held_out(pool: Pool, group: Group) -> Tensor:
    (labels,) = pool.need("val_labels")
    rows = (labels == (labels if group.label is None else group.label)).nonzero()[:, 0]
    if not len(rows):
        raise UserError(f"gradmatch has no held-out picture of class {group.label}; validation=False needs none")
    return rows


def _pursuit(
    rows: Callable[[Tensor], Tensor], square: Tensor, target: Tensor, budget: int, ridge: float, pool: Pool
) -> Tensor:
    """Positions `(budget,)`. rows: positions `(b,)` -> inner products `(b, m)`; square, target `(m,)`: with itself, and
    with the sum.

    Each step fits all weights anew. In terms of the Cholesky factor of the chosen that is one more row of it times one
    more number, taken off what is left of the target.
    """
    import torch

    from cliptune.coresets.common.argmax import first_largest
    from cliptune.coresets.common.incremental_cholesky import IncrementalCholesky

    grown = IncrementalCholesky(rows, square, ridge, budget, pool.method)
    picks, toward, seen = [], target, target.clone()
    for k in range(budget):
        picks.append(best := first_largest(seen))
        along = toward[best]
        row, rest = grown.add(int(best), seen)
        toward = toward - along / rest.sqrt() * row
        if k == 0 and pool.variant == "dapt":  # without the ridge
            seen = target - along / square[best].clamp_min(torch.finfo(square.dtype).tiny) * row * rest.sqrt()
        else:
            seen = toward.clone()
        seen[torch.stack(picks)] = -torch.inf
    return torch.stack(picks)
