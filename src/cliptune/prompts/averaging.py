"""Weighted averages of learner states over the epochs of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def gaussian_weights(epochs: int, mean: float, std: float) -> Tensor:
    """Weights `(epochs,)` in float64 that sum to one: a Gaussian over the epochs 1, 2, ... (PromptSRC, section 3.2).

    w_e ~ exp(-((e - mean) / std)^2 / 2), computed as a softmax of the exponents, so that a mean far outside the run
    selects the nearest epoch instead of giving 0 / 0.
    """
    import torch

    epoch = torch.arange(1, epochs + 1, dtype=torch.float64)
    return (-(((epoch - mean) / std) ** 2) / 2).softmax(0)


def average_states(states: Sequence[Mapping[str, Tensor]], weights: Tensor) -> dict[str, Tensor]:
    """`sum_e weights[e] * states[e]` per tensor, in the tensor's type and on the device of the first state."""
    import torch

    total = {name: torch.zeros_like(tensor) for name, tensor in states[0].items()}
    for state, weight in zip(states, weights.tolist(), strict=True):
        for name, tensor in state.items():
            total[name] += weight * tensor.to(total[name].device)
    return total
