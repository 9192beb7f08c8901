"""Distillation losses on a teacher's logits: Kullback-Leibler divergence, and cross-entropy with soft targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mean_kl(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of logits, each `(b, c)` -> scalar, averaged over all `b * c` entries.

    1/(BC) sum_bc p_bc (log p_bc - log q_bc), with p the teacher's softmax and q the student's. PromptSRC and DPL also
    divide by the number of classes, so the loss is smaller with many classes.
    """
    import torch.nn.functional as F

    total = F.kl_div(logits.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True)
    return total / logits.numel()


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy with the teacher's soft targets, logits `(b, c)` each -> scalar (ProGrad, equation 3).

    -T^2 mean_b sum_c softmax(z / T) log softmax(logits / T); T^2 keeps gradients comparable between temperatures.
    """
    targets = (teacher / temperature).softmax(-1)
    return -(temperature**2) * (targets * (logits / temperature).log_softmax(-1)).sum(-1).mean()
