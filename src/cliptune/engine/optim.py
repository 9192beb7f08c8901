"""Optimizers and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from cliptune.engine.config import TrainConfig


def learning_rate(
    epoch: int,
    *,
    base: float,
    epochs: int,
    warmup_epochs: int = 1,
    warmup_lr: float = 1e-5,
    warmup: Literal["constant", "linear"] = "constant",
) -> float:
    """The learning rate of `epoch`, counted from 0: warm-up, then half a cosine wave over `epochs` epochs.

    The cosine starts when the warm-up ends and is not shortened by it, so the rate of the last epoch is above zero, as
    in the papers. Linear warm-up is `warmup_lr` in epoch 0, then `base * epoch / warmup_epochs`.
    """
    if epoch < warmup_epochs:
        return warmup_lr if warmup == "constant" or epoch == 0 else base * epoch / warmup_epochs
    return base / 2 * (1 + math.cos(math.pi * (epoch - warmup_epochs) / epochs))


def make_optimizer(parameters: Iterable[Parameter], training: TrainConfig) -> Optimizer:
    """The optimizer named by the settings; AdamW with the betas and the epsilon of PyTorch."""
    if training.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=training.lr, weight_decay=training.weight_decay)
    return sgd(parameters, training.lr, training.momentum, training.weight_decay)


def sgd(
    parameters: Iterable[Parameter], lr: float, momentum: float = 0.9, weight_decay: float = 5e-4
) -> torch.optim.SGD:
    """SGD on all parameters, with weight decay on biases and norms too, without dampening or Nesterov momentum."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)
