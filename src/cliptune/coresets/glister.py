"""GLISTER: images whose gradients lower the validation loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cliptune import checks
from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from cliptune.coresets.common.pool import Group, Pool

#: The release uses stochastic greedy: each step looks at -ln(0.9) n / budget candidates.
DAPT_EPSILON = 0.9


def glister(pool: Pool, *, eta: float = 0.05, updates: int = 15) -> Selection:
    """Greedily select the images whose gradients lower the validation loss most (Killamsetty et al., GLISTER, AAAI
    2021, algorithm 2 with its r rounds; the 15 rounds and the class-wise form are those of its authors' code).

    The gain of image j is <G_j, mean of G over the validation images>, the first-order change of that loss. It is
    recomputed `updates` times, each time after the head took a step of size `eta` along the gradients selected so far.
    With balanced=True, the validation images are those of the class. If there are no validation images, the pool itself
    serves as validation set.

    "dapt" never recomputes gains, and each step looks at a few candidates drawn at random; it requires validation
    images.
    """
    import torch

    from cliptune.coresets.common.gradients import Gradients, residuals

    checks.require(eta > 0, "eta", eta, "above 0")
    checks.require(updates >= 1, "updates", updates, "at least 1")
    signals = pool.signals
    val = pool.variant == "dapt" or signals.val_labels is not None or signals.val_features is not None
    features, labels = pool.require("val_features", "val_labels") if val else (*pool.require("features"), pool.labels)
    legacy = pool.legacy_generator()

    def validation_rows(group: Group) -> Tensor:
        rows = torch.arange(len(labels), device=labels.device)
        rows = rows if group.label is None else (labels == group.label).nonzero()[:, 0]
        if not len(rows):
            raise UserError(f"glister needs validation images of every class, and class {group.label} has none; "
                            f"balanced=False compares with those of all classes")  # fmt: skip
        return rows

    def choose(group: Group) -> Tensor:
        own, rows = Gradients.from_pool(pool, group.rows), validation_rows(group)
        if pool.variant == "dapt":
            return _stochastic_greedy(own.inner_mean(Gradients.from_pool(pool, rows, val=True)), group.budget, legacy)
        v, logits = features[rows], pool.logits(rows, val=val).clone()
        free = torch.ones(len(own), dtype=torch.bool, device=v.device)
        picks = []
        for round_ in torch.arange(group.budget).tensor_split(min(updates, group.budget)):
            gain = own.inner_mean(Gradients(residuals(logits, labels[rows]), v)).where(free, -torch.inf)
            new = gain.sort(descending=True, stable=True).indices[: len(round_)]
            free[new] = False
            picks.append(new)
            step = own[new]
            logits -= eta * ((1 + v @ step.features.T) @ step.residual)
        return torch.cat(picks)

    return pool.select_by_group(choose)


def _stochastic_greedy(gain: Tensor, budget: int, legacy: np.random.RandomState) -> Tensor:
    """Positions `(budget,)`, each the largest of `gain` `(n,)` among candidates drawn without replacement."""
    import torch

    n = len(gain)
    free = torch.ones(n, dtype=torch.bool)
    sample = max(round(-math.log(DAPT_EPSILON) * n / budget), 1)
    for k in range(budget):
        candidates = torch.from_numpy(legacy.choice(free.nonzero()[:, 0].numpy(), min(sample, n - k), replace=False))
        free[candidates[gain[candidates.to(gain.device)].argmax().cpu()]] = False
    return (~free).nonzero()[:, 0].to(gain.device)
