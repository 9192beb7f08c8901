"""DAPT's losses: a triplet loss on foreground and background features, and alignment of backgrounds with text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def pull_push(image: Tensor, foreground: Tensor, background: Tensor, margin: float) -> Tensor:
    """Triplet hinge loss on L2-normalised features, each `(b, d)` -> scalar (DAPT, visual decoupling).

    mean_b max(0, margin + ||u - sg(u_fg)|| - ||u - sg(u_bg)||), where only the feature u of the whole image receives a
    gradient. `pairwise_distance` adds 1e-6 to each coordinate, which keeps the norm differentiable at zero.
    """
    import torch.nn.functional as F

    near = F.pairwise_distance(image, foreground.detach())
    far = F.pairwise_distance(image, background.detach())
    return F.relu(margin + near - far).mean()


def background_alignment_loss(background: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """Cross-entropy of background features `(b, d)` with text features `(p, d)`; the nearest text is the
    pseudo-label."""
    import torch.nn.functional as F

    cosines = background @ texts.T
    return F.cross_entropy(logit_scale * cosines, cosines.argmax(-1))
