"""Stop at the first number that is not finite, and say which tensor it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.model import TunedModel
from cliptune.types import Outputs


def check_finite(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> dict[str, float]:
    """The losses as numbers. Raises `UserError` naming the first tensor, in the order of computation, that is not
    finite."""
    values = torch.stack([loss.detach().float() for loss in losses.values()])
    numbers = dict(zip(losses, values.tolist(), strict=True))  # one wait for the device
    if all(abs(value) < float("inf") for value in numbers.values()):
        return numbers
    for name, tensor in _in_order(losses, out, model):
        if not torch.isfinite(tensor).all():
            raise UserError(f"{name} is no longer finite; lower lr, or train in precision 32 if it was lower")
    raise UserError(f"the sum of the losses overflowed ({numbers}); lower lr")


def _in_order(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> Iterator[tuple[str, Tensor]]:
    yield from ((f"learned tensor {name!r}", p) for name, p in model.learner.named_parameters())
    yield from ((f"image feature {name!r}", f) for name, f in out.image.items())
    yield "text features", out.text
    yield "logits", out.logits
    yield from ((f"loss {name!r}", loss) for name, loss in losses.items())
