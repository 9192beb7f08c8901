"""Stop at the first number that is not finite, and say which tensor it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Outputs


def check_losses(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> dict[str, float]:
    """The losses as numbers. Raises `UserError` naming the first tensor, in the order of computation, that is not
    finite."""
    values = torch.stack([loss.detach().float() for loss in losses.values()])
    numbers = dict(zip(losses, values.tolist(), strict=True))  # one wait for the device
    if all(abs(value) < float("inf") for value in numbers.values()):
        return numbers
    _stop_at_first(_in_order(losses, out, model))
    raise AssertionError("a loss is not finite, yet none was found")


def check_parameters(model: TunedModel) -> None:
    """After a step, whose own tensors `check_finite` cannot see: raises `UserError` naming a learned one that is not
    finite."""
    _stop_at_first(_learned(model))


def check_logits(logits: Tensor) -> Tensor:
    """The logits of a model that is asked. Raises `UserError` where one is not finite, which no class could win."""
    if not torch.isfinite(logits).all():
        raise UserError("the model's answer is not finite: its tensors are damaged; train again or restore a copy")
    return logits


def _stop_at_first(named: Iterable[tuple[str, Tensor]]) -> None:
    for name, tensor in named:
        if not torch.isfinite(tensor).all():
            raise UserError(f"{name} is no longer finite; lower lr, or train in precision 32 if it was lower")


def _learned(model: TunedModel) -> Iterator[tuple[str, Tensor]]:
    yield from ((f"learned tensor {name!r}", p) for name, p in model.learner.named_parameters())


def _in_order(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> Iterator[tuple[str, Tensor]]:
    yield from _learned(model)
    yield "text features", out.text
    if out.extra_text is not None:
        yield "features of extra prompts", out.extra_text
    yield from ((f"image feature {name!r}", f) for name, f in out.image.items())
    yield "logits", out.logits
    yield from ((f"loss {name!r}", loss) for name, loss in losses.items())
