"""A key-value cache of training images (Tip-Adapter)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliptune.types import Prompts


class KeyValueCache(nn.Module):
    """Adds to the logit of each class the similarity of an image to the cached images of that class.

    The cache starts empty; `fill` sets `n` keys `(n, d)`, normalised image features, and their labels `(n,)`. Classes
    that are not cached keep CLIP's logits.

    Args:
        classnames: Class names that the labels index.
        width: Feature width d.
        alpha, beta: Weight of the cache logits, and sharpness of the similarity.
        learned: Whether the keys are trained.
    """

    labels: Tensor
    alpha: Tensor
    beta: Tensor

    def __init__(self, classnames: Sequence[str], width: int, alpha: float, beta: float, learned: bool):
        super().__init__()
        self.classnames = tuple(classnames)
        self.keys = nn.Parameter(torch.empty(0, width), requires_grad=learned)
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))
        self.register_buffer("alpha", torch.tensor(alpha))
        self.register_buffer("beta", torch.tensor(beta))
        self.register_load_state_dict_pre_hook(_resize)

    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the content of the cache."""
        self.keys.data, self.labels = keys, labels  # the parameter object stays, since an optimizer may refer to it

    def forward(self) -> Prompts:
        return Prompts(head=self.logits)

    def logits(self, image: Tensor, logits: Tensor, classnames: Sequence[str]) -> Tensor:
        """CLIP's logits `(b, C)` of `classnames` plus those of the cache, for normalised features `image` `(b, d)`."""
        cached = self.cache_logits(image @ self.keys.T, self.beta)
        if tuple(classnames) != self.classnames:
            index = {name: label for label, name in enumerate(self.classnames)}
            # The last padded column is zero, for names that are not cached.
            cached = F.pad(cached, (0, 1))[:, [index.get(name, -1) for name in classnames]]
        return logits + self.alpha * cached

    def cache_logits(self, affinity: Tensor, beta: Tensor | float) -> Tensor:
        """Sums `(b, own classes)` of exp(-beta (1 - cosine)) per class, from cosines with the keys `(b, n)`."""
        # Not `one_hot`, which reads the labels to check them.
        values = (self.labels[:, None] == torch.arange(len(self.classnames), device=self.labels.device)).to(
            affinity.dtype
        )
        return (beta * (affinity - 1)).exp() @ values

    @torch.no_grad()
    def search(
        self, image: Tensor, logits: Tensor, labels: Tensor, alphas: Sequence[float], betas: Sequence[float]
    ) -> None:
        """Set the alpha and beta with the highest accuracy on images with features `(v, d)` and CLIP's logits
        `(v, own classes)`; the first of equals, where alphas vary fastest."""
        affinity, best = image @ self.keys.T, -1
        for beta in betas:
            cached = self.cache_logits(affinity, beta)
            for alpha in alphas:
                correct = int(((logits + alpha * cached).argmax(1) == labels).sum())
                if correct > best:
                    best = correct
                    self.alpha.fill_(alpha)
                    self.beta.fill_(beta)


def _resize(cache: KeyValueCache, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Resize the cache to the keys in `state`, which is about to be loaded."""
    keys, labels = state.get(f"{prefix}keys"), state.get(f"{prefix}labels")
    if keys is not None and labels is not None and keys.shape[1:] == cache.keys.shape[1:]:
        known = len(cache.classnames)
        if labels.shape != keys.shape[:1] or not ((labels >= 0) & (labels < known)).all():
            raise RuntimeError(f"labels are not one of {known} classes for each key")
        cache.fill(cache.keys.new_empty(keys.shape), cache.labels.new_empty(labels.shape))
