"""Averages of what was learned, over the epochs of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def gaussian_weights(epochs: int, mean: float, std: float) -> Tensor:
    """Weights `(epochs,)` in float64 that sum to one: a Gaussian over the epochs 1, 2, ... (PromptSRC, section 3.2).

    w_e ~ exp(-((e - mean) / std)^2 / 2). As a softmax of the exponents, a mean far outside the run gives the epoch
    nearest to it instead of 0 / 0.
    """
    import torch

    epoch = torch.arange(1, epochs + 1, dtype=torch.float64)
    return (-(((epoch - mean) / std) ** 2) / 2).softmax(0)


def average_states(states: Sequence[Mapping[str, Tensor]], weights: Tensor) -> dict[str, Tensor]:
    """Tensor by tensor `sum_e weights[e] * states[e]`, in each tensor's own type and where the first one lies."""
    import torch

    total = {name: torch.zeros_like(tensor) for name, tensor in states[0].items()}
    for state, weight in zip(states, weights.tolist(), strict=True):
        for name, tensor in state.items():
            total[name] += weight * tensor.to(total[name].device)
    return total
