"""Training pictures remembered beside CLIP (Tip-Adapter)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cliptune.types import Prompts


class KeyValueCache(nn.Module):
    """Adds to each class's logit how near a picture is to remembered ones of that class.

    Starts empty; `fill` gives it `n` keys `(n, d)`, normalised image features, and their labels `(n,)`. A class that
    it does not know keeps CLIP's logit.

    Args: classnames: what the labels index. width: of features. alpha, beta: weight and sharpness of what is
        remembered. learned: whether the keys train.
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
        self.register_load_state_dict_pre_hook(_make_room)

    def fill(self, keys: Tensor, labels: Tensor) -> None:
        """Remember these, and nothing else."""
        self.keys.data, self.labels = keys, labels  # the parameter stays the one that an optimiser may hold

    def forward(self) -> Prompts:
        return Prompts(head=self.logits)

    def logits(self, image: Tensor, logits: Tensor, classnames: Sequence[str]) -> Tensor:
        """`(b, C)` CLIP's logits of the `C` names -> those with what is remembered."""
        found = self.remembered(image @ self.keys.T, self.beta)
        if tuple(classnames) != self.classnames:
            place = {name: label for label, name in enumerate(self.classnames)}
            # The last of the padded columns is the zero of a name that is not known.
            found = F.pad(found, (0, 1))[:, [place.get(name, -1) for name in classnames]]
        return logits + self.alpha * found

    def remembered(self, affinity: Tensor, beta: Tensor | float) -> Tensor:
        """Cosines `(b, n)` with the keys -> sums `(b, own classes)` over each class of exp(-beta (1 - cosine))."""
        values = F.one_hot(self.labels, len(self.classnames)).to(affinity.dtype)
        return (beta * (affinity - 1)).exp() @ values

    @torch.no_grad()
    def choose(
        self, image: Tensor, logits: Tensor, labels: Tensor, alphas: Sequence[float], betas: Sequence[float]
    ) -> None:
        """Take the alpha and beta with the highest accuracy on pictures `(v, d)` with CLIP's logits `(v, own classes)`.

        Of equals the first, alphas in turn for each beta.
        """
        affinity, best = image @ self.keys.T, -1
        for beta in betas:
            found = self.remembered(affinity, beta)
            for alpha in alphas:
                right = int(((logits + alpha * found).argmax(1) == labels).sum())
                if right > best:
                    best = right
                    self.alpha.fill_(alpha)
                    self.beta.fill_(beta)


def _make_room(cache: KeyValueCache, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """As many keys as the state has that is about to be loaded."""
    held = {name: state.get(prefix + name) for name in ("keys", "labels")}
    if held["keys"] is not None and held["labels"] is not None and held["keys"].shape[1:] == cache.keys.shape[1:]:
        labels, known = held["labels"], len(cache.classnames)
        if labels.shape != held["keys"].shape[:1] or not ((labels >= 0) & (labels < known)).all():
            raise RuntimeError(f"labels are not one of {known} classes for each key")
        cache.fill(cache.keys.new_empty(held["keys"].shape), cache.labels.new_empty(held["labels"].shape))
