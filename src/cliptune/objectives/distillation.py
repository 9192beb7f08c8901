"""Learning from a teacher's logits: Kullback-Leibler divergence, and cross-entropy with softened targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mean_kl(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher || student) of logits, each `(b, c)` -> scalar, averaged over all `b * c` entries.

    1/(BC) sum_bc p_bc (log p_bc - log q_bc), p the teacher's softmax and q the student's: PromptSRC and DPL divide by
    the number of classes too, so the term weighs less where there are many.
    """
    import torch.nn.functional as F

    total = F.kl_div(logits.log_softmax(-1), teacher.log_softmax(-1), reduction="sum", log_target=True)
    return total / logits.numel()


def soft_cross_entropy(logits: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy with the teacher's softened distribution, logits `(b, c)` each -> scalar (ProGrad, equation 3).

    -T^2 mean_b sum_c softmax(z / T) log softmax(logits / T); T^2 keeps gradients comparable between temperatures.
    """
    targets = (teacher / temperature).softmax(-1)
    return -(temperature**2) * (targets * (logits / temperature).log_softmax(-1)).sum(-1).mean()
