"""Stop at the first value that is not finite, and name its tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Outputs


def check_losses(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> dict[str, float]:
    """The losses as floats.

    Raises `UserError` if one is not finite; names the first tensor that is not, in the order of computation.
    """
    values = torch.stack([loss.detach().float() for loss in losses.values()])
    numbers = dict(zip(losses, values.tolist(), strict=True))  # a single synchronisation with the device
    if all(abs(value) < float("inf") for value in numbers.values()):
        return numbers
    _raise_at_first(_tensors_in_order(losses, out, model))
    raise AssertionError("a loss is not finite, but no tensor was found")


def check_parameters(model: TunedModel) -> None:
    """Raise `UserError` that names a trainable parameter that is not finite.

    `check_losses` sees the parameters before each step; this check sees them after the last one.
    """
    _raise_at_first(_parameters(model))


def check_logits(logits: Tensor) -> Tensor:
    """The logits, unchanged. Raises `UserError` if one is not finite, as the prediction would be undefined."""
    if not torch.isfinite(logits).all():
        raise UserError("the model's logits are not finite: its tensors are damaged; train again or restore a copy")
    return logits


def _raise_at_first(named: Iterable[tuple[str, Tensor]]) -> None:
    for name, tensor in named:
        if not torch.isfinite(tensor).all():
            raise UserError(f"{name} is no longer finite; lower lr, or train in precision 32 if it was lower")


def _parameters(model: TunedModel) -> Iterator[tuple[str, Tensor]]:
    yield from ((f"learned tensor {name!r}", p) for name, p in model.learner.named_parameters())


def _tensors_in_order(losses: Mapping[str, Tensor], out: Outputs, model: TunedModel) -> Iterator[tuple[str, Tensor]]:
    yield from _parameters(model)
    yield "text features", out.text
    if out.extra_text is not None:
        yield "features of extra prompts", out.extra_text
    yield from ((f"image feature {name!r}", f) for name, f in out.image.items())
    yield "logits", out.logits
    yield from ((f"loss {name!r}", loss) for name, loss in losses.items())
