"""Pictures that training forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool


def forgetting(pool: Pool) -> Selection:
    """The most often forgotten: right in one epoch and wrong in the next. A picture that was never right counts as
    forgotten without end (Toneva et al., An Empirical Study of Example Forgetting, ICLR 2019, definitions 2.1, 2.2 and
    algorithm 1). `scores` hold the count.

    "dapt" leaves the count of never-learned pictures at 0. Its first row is the model before training; give the same.
    """
    import torch

    (correct,) = pool.need("correct")
    if bool(((correct != 0) & (correct != 1)).any()):
        raise UserError("correct must hold True or False, or 1 and 0, for each epoch and picture")
    right = correct.bool()
    scores = (right[:-1] & ~right[1:]).sum(0).to(torch.get_default_dtype())
    if pool.variant == "paper":
        scores[~right.any(0)] = torch.inf
    return pool.extreme(scores, largest=True)
