"""Uncertainty sampling: images that the model is least certain of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from cliptune.coresets.common.signals import Selection
from cliptune.errors import UserError

if TYPE_CHECKING:
    from cliptune.coresets.common.pool import Pool

Measure = Literal["margin", "least_confidence", "entropy"]


def uncertainty(pool: Pool, *, measure: Measure = "margin") -> Selection:
    """Select the most uncertain images by the probabilities p, p_(1) the largest (Settles, Active Learning Literature
    Survey, 2009, section 3.1).

    margin: the smallest p_(1) - p_(2). least_confidence: the largest 1 - p_(1). entropy: the largest -sum p log p.
    `scores` is that quantity.

    "dapt" selects the smallest p_(1) - p_(2), the smallest largest *logit*, or the smallest sum p log(p + 1e-6); with
    balanced=False it selects the largest of them, the most certain.
    """
    import torch

    if measure not in get_args(Measure):
        raise UserError(f"measure={measure!r} is none of {', '.join(get_args(Measure))}")
    logits = pool.logits()
    dapt = pool.variant == "dapt"
    if measure == "margin":
        if logits.shape[1] < 2:
            raise UserError(f"a margin needs two classes, but logits have {logits.shape[1]}; use another measure")
        first, second = logits.softmax(1).topk(2, dim=1).values.T
        scores = first - second
    elif measure == "least_confidence":
        # The sum of the other probabilities: 1 - p_(1) would round to 0 if the model is certain.
        others = logits.scatter(1, logits.argmax(1, keepdim=True), -torch.inf)
        scores = logits.amax(1) if dapt else (others.logsumexp(1) - logits.logsumexp(1)).exp()
    elif dapt:
        p = logits.softmax(1)
        scores = (p * torch.log(p + 1e-6)).sum(1)
    else:
        scores = torch.special.entr(logits.softmax(1)).sum(1)
    return pool.select_by_score(scores, largest=not pool.balanced if dapt else measure != "margin")
