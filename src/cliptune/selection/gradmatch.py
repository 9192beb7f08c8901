"""Weighted pictures whose gradients add up to those of all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.selection.base import Selection
from cliptune.selection.parts.cosine import DENSE
from cliptune.selection.parts.gradients import Gradients
from cliptune.selection.parts.nnls import nnls
from cliptune.selection.parts.pool import Group, Pool
from cliptune.selection.parts.room import kept_rows
from cliptune.selection.parts.ties import first_largest


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
    dapt = pool.variant == "dapt"
    ridge = (1.0 if dapt else 0.5) if ridge is None else ridge
    if not ridge > 0:
        raise UserError(f"ridge={ridge} is not above 0")
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
            gram = own.inner(own) if len(own) <= DENSE else None
            rows = (lambda i, own=own: own[i[None]].inner(own)[0]) if gram is None else gram.__getitem__
            picks, x = _pursuit(rows, own.norms().square(), target, group.budget, ridge, pool)
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
) -> tuple[Tensor, Tensor]:
    """Positions and weights `(budget,)`. rows: position -> inner products `(m,)`; target `(m,)`: those with the sum."""
    kept = kept_rows(budget, len(target), target, pool.method)
    factor = torch.zeros(budget, budget, dtype=target.dtype, device=target.device)  # Cholesky, of the chosen
    picks = torch.zeros(budget, dtype=torch.long, device=target.device)
    toward, free = target, torch.zeros_like(target)
    for k in range(budget):
        best = first_largest(toward + free)
        picks[k], free[best] = best, -torch.inf
        chosen = picks[: k + 1]
        kept[k] = rows(best)
        if k:
            low = factor[:k, :k]
            factor[k, :k] = torch.linalg.solve_triangular(low, kept[:k, best, None], upper=False)[:, 0]
        factor[k, k] = (square[best] + ridge - factor[k, :k].square().sum()).sqrt()
        x = torch.cholesky_solve(target[chosen, None], factor[: k + 1, : k + 1])[:, 0]
        if k == 0 and pool.variant == "dapt":
            x = target[chosen] / square[best].clamp_min(torch.finfo(target.dtype).tiny)
        toward = target - x @ kept[: k + 1]
    if budget == 1 and pool.variant == "dapt":
        return picks, torch.ones_like(target[picks])
    gram = kept[:, picks]
    return picks, nnls(gram + ridge * torch.eye(budget, dtype=gram.dtype, device=gram.device), target[picks])
