"""A learned residual per class on the text features (TaskRes)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cliptune.types import Prompts


class TaskResidual(nn.Module):
    """Adds `alpha * x_c` to the un-normalised text features of each class it was made for; others keep theirs.

    Args:
        classes, width: The shape of the residuals `x`, which start at zero.
        alpha: Their factor.
    """

    def __init__(self, classes: int, width: int, alpha: float):
        super().__init__()
        self.residual = nn.Parameter(torch.zeros(classes, width))
        self.alpha = alpha

    def forward(self, index: Tensor) -> Prompts:
        """Prompts for classes with rows `index` `(C,)` of the residuals; -1 for a class without one."""
        own = torch.cat([self.residual, self.residual.new_zeros(1, self.residual.shape[1])])
        return Prompts(class_offset=self.alpha * own[index])
