"""Cross-entropy of tokens that belong to classes (DPT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cliptune.types import Batch

if TYPE_CHECKING:
    from torch import Tensor


def class_token_loss(logits: Tensor, classes: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of the tokens whose class is in the image, with that class -> scalar.

    logits: `(b, layers, k, C)`, of `k` tokens per image and layer. classes: `(b, k)`, the class of each token.

    Tokens of other classes do not count. Zero if no token counts. With `batch.weights`, tokens are weighted as their
    images.
    """
    import torch.nn.functional as F

    if batch.targets is None:
        present = classes == batch.labels[:, None]
    else:
        targets = F.pad(batch.targets, (0, logits.shape[-1] - batch.targets.shape[1]))
        present = targets.gather(1, classes) > 0
    share = present if batch.weights is None else present * batch.weights[:, None]
    target = classes[:, None].expand(logits.shape[:-1])
    losses = F.cross_entropy(logits.movedim(-1, 1), target, reduction="none")
    return (losses * share[:, None]).sum() / (present.sum() * logits.shape[1]).clamp_min(1)
