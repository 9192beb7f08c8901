"""What coreset methods are told, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


#: "paper": as the method's paper defines it; "dapt": as the code released with DAPT computes it, mistakes included.
Variant = Literal["paper", "dapt"]

#: The size of the batches whose mean loss the release differentiates.
DAPT_BATCH_SIZE = 50


@dataclass(frozen=True)
class Signals:
    """What is known of a pool of n pictures of C classes; every part may be absent.

    features: `(n, d)`, L2-normalised image features. text: `(C, d)` class features. logit_scale: of their cosines.
    logits: `(n, C)`; where absent, `logit_scale * features @ text.T`.
    correct: `(E, n)`, whether a picture was classified rightly when it was met in epoch 1 ... E.
    val_features `(m, d)`, val_labels `(m,)`, val_logits `(m, C)`: the same of held-out pictures.
    """

    features: Tensor | None = None
    text: Tensor | None = None
    logits: Tensor | None = None
    logit_scale: float | Tensor | None = None
    correct: Tensor | None = None
    val_features: Tensor | None = None
    val_labels: Tensor | None = None
    val_logits: Tensor | None = None


@dataclass(frozen=True)
class Selection:
    """A part of a pool.

    indices: `(k,)` positions in the pool, ascending.
    weights: `(k,)`, how many pictures of the pool each stands for; it multiplies the picture's loss. None: all count
    alike.
    scores: `(n,)` of all pictures, where the method ranks them one by one; its docstring says which end is chosen.
    """

    indices: Tensor
    weights: Tensor | None = None
    scores: Tensor | None = None

    def ordered(self) -> Selection:
        """The same with indices ascending."""
        indices, order = self.indices.sort()
        return Selection(indices, None if self.weights is None else self.weights[order], self.scores)
