"""A student's image tokens and its projection to the width of a teacher (PromptKD)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cliptune.errors import UserError
from cliptune.types import Prompts


class Projector(nn.Module):
    """`outer(relu(batch_norm(inner(f))))` of features `(b, d)` -> `(b, d_T)`.

    In training, batch norm uses the statistics of the batch and updates its running statistics; in evaluation, it uses
    the running ones.

    Args:
        inner, outer: Linear layers `d -> d_T` and `d_T -> d_T`.
    """

    def __init__(self, inner: nn.Linear, outer: nn.Linear):
        super().__init__()
        self.inner, self.norm, self.outer = inner, nn.BatchNorm1d(inner.out_features), outer

    def forward(self, features: Tensor) -> Tensor:
        if self.norm.training and len(features) < 2:
            raise UserError("batch norm needs at least 2 images per batch in training; increase batch_size")
        return self.outer(F.relu(self.norm(self.inner(features))))


class ProjectedStudent(nn.Module):
    """A learner with tokens for layers 0, 1, ... of the image tower, whose features are compared with a teacher's.

    Args:
        image: Initial tokens `(n_ctx, image_width)` per layer.
        projector: Maps image features `(b, d)` to `(b, d_T)`.
        class_features: The teacher's class features `(C, d_T)` of the trained names, saved with the parameters.
    """

    class_features: Tensor

    def __init__(self, image: Sequence[Tensor], projector: Projector, class_features: Tensor):
        super().__init__()
        self.image = nn.ParameterList([start.clone() for start in image])
        self.projector = projector
        self.register_buffer("class_features", class_features.detach().float().cpu().clone())

    def forward(self) -> Prompts:
        return Prompts(image=tuple(self.image), adapt_image=self.projector)
