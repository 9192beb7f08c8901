"""Optimizers and the learning rate schedule."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.text import listed


def learning_rate(
    epoch: int,
    *,
    base: float,
    epochs: int,
    warmup_epochs: int = 1,
    warmup_lr: float = 1e-5,
    warmup: Literal["constant", "linear"] = "constant",
    min_lr: float = 0.0,
) -> float:
    """The learning rate of `epoch`, counted from 0: warm-up, then half a cosine wave from `base` to `min_lr` over
    `epochs` epochs. The same for steps in place of epochs.

    The cosine starts when the warm-up ends and is not shortened by it, so the rate of the last epoch is above
    `min_lr`, as in the papers. Linear warm-up is `warmup_lr` in epoch 0, then `base * epoch / warmup_epochs`.
    """
    if epoch < warmup_epochs:
        return warmup_lr if warmup == "constant" or epoch == 0 else base * epoch / warmup_epochs
    return min_lr + (base - min_lr) / 2 * (1 + math.cos(math.pi * (epoch - warmup_epochs) / epochs))


class Schedule:
    """Learning rates of a training, per epoch or per step; factors of parameter groups apply after the warm-up.

    Args:
        steps: Steps per epoch.
        total: Steps of the whole training.
    """

    def __init__(self, training: TrainConfig, epochs: int, steps: int, total: int):
        self.training, self.epochs, self.steps, self.total = training, epochs, steps, total

    def rate(self, epoch: int, step: int = 0) -> float:
        """The learning rate of a step, counted within its epoch."""
        t, per_step = self.training, self.training.schedule == "step"
        unit = self.steps if per_step else 1
        return learning_rate(
            epoch * unit + (step if per_step else 0),
            base=t.lr,
            epochs=self.total if per_step else self.epochs,
            warmup_epochs=t.warmup_epochs * unit,
            warmup_lr=t.warmup_lr,
            min_lr=t.min_lr,
        )

    def apply(self, optimizer: Optimizer, epoch: int, step: int = 0) -> float:
        """Set the rates of all parameter groups for a step. Returns the one without a factor."""
        rate = self.rate(epoch, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1.0 if epoch < self.training.warmup_epochs else group.get("factor", 1.0))
        return rate


def parameter_groups(learner: nn.Module, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The trainable parameters of a learner in groups by `factor` of the learning rate.

    rates: Factors by prefix of the parameters' names; the longest prefix counts, and others have factor 1. Raises
        `UserError` if no parameter has a prefix.
    """
    named = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    unknown = [prefix for prefix in rates if not any(name.startswith(prefix) for name in named)]
    if unknown:
        raise UserError(f"no trainable parameter starts with {unknown[0]!r}; there are {listed(named)}")
    groups: defaultdict[float, list[Tensor]] = defaultdict(list)
    for name, parameter in named.items():
        groups[rates[max(own, key=len)] if (own := [p for p in rates if name.startswith(p)]) else 1.0].append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def make_optimizer(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]], training: TrainConfig, fused: bool | None = None
) -> Optimizer:
    """The optimizer named by the settings, of parameters or of groups; Adam and AdamW with the betas of PyTorch.

    fused: Whether a step is a kernel per group instead of one per operation, with the same numbers up to rounding; by
        default, where all parameters are on a GPU.
    """
    given: list[Any] = list(parameters)
    fused = _on_gpu(given) if fused is None else fused
    if training.optimizer == "sgd":
        return sgd(given, training.lr, training.momentum, training.weight_decay, fused)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(given, lr=training.lr, eps=training.eps, weight_decay=training.weight_decay, fused=fused or None)


def _on_gpu(given: Sequence[Tensor | dict[str, Any]]) -> bool:
    tensors = [p for group in given for p in (group["params"] if isinstance(group, dict) else (group,))]
    return bool(tensors) and all(p.device.type == "cuda" for p in tensors)


def sgd(
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    fused: bool = False,
) -> torch.optim.SGD:
    """SGD on all parameters, with weight decay on biases and norms too, without dampening or Nesterov momentum."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused or None)
