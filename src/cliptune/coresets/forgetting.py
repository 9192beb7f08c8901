"""Forgetting events: images that are misclassified again during training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool


def forgetting(pool: Pool) -> Selection:
    """Select the images forgotten most often: correct in one epoch and wrong in the next (Toneva et al., An Empirical
    Study of Example Forgetting, ICLR 2019, definitions 2.1, 2.2 and algorithm 1).

    `scores` is that count, infinite for an image that was never correct.

    "dapt" leaves the count of such images at 0. The first row of its signal is from the model before training, which
    the caller must include.
    """
    import torch

    (correct,) = pool.require("correct")
    if bool(((correct != 0) & (correct != 1)).any()):
        raise UserError("correct must contain True or False, or 1 and 0, for each epoch and image")
    right = correct.bool()
    scores = (right[:-1] & ~right[1:]).sum(0).to(torch.get_default_dtype())
    if pool.variant == "paper":
        scores[~right.any(0)] = torch.inf
    return pool.select_by_score(scores, largest=True)
