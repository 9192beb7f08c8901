"""The state of training after an epoch, from which an interrupted run continues with the same numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from cliptune.engine import checkpoint
from cliptune.errors import UserError, shown
from cliptune.model.tuned_model import TunedModel
from cliptune.user_warnings import warn_user

ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
#: State tensors per parameter of each optimizer.
OPTIMIZER_STATE = {torch.optim.SGD: ("momentum_buffer",), torch.optim.Adam: ADAM_STATE, torch.optim.AdamW: ADAM_STATE}


@dataclass
class TrainingProgress:
    """The results of training so far.

    Args:
        history: One row per finished epoch.
        best: State of the learner with the best validation accuracy, empty without validation.
        states: State of the learner after each epoch, for methods that need it.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    states: list[dict[str, Tensor]] = field(default_factory=list)

    def add(self, row: dict[str, float], model: TunedModel) -> None:
        """Add a finished epoch. The earlier of two equal validation accuracies is the best."""
        learned = {name: tensor.detach().clone() for name, tensor in model.learner.state_dict().items()}
        if "val" in row and row["val"] > max((r["val"] for r in self.history), default=-1.0):
            self.best = learned
        if model.method.needs_history:
            self.states.append(learned)
        self.history.append(row)

    def save(self, path: Path, model: TunedModel, optimizer: Optimizer) -> None:
        """Write the progress with the state of learner and optimizer."""
        tensors = {f"learner.{name}": tensor for name, tensor in model.learner.state_dict().items()}
        for i, values in optimizer.state_dict()["state"].items():
            # SGD without momentum has None as its momentum buffer.
            tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in values.items() if tensor is not None}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for epoch, learned in enumerate(self.states):
            tensors |= {f"states.{epoch}.{name}": tensor for name, tensor in learned.items()}
        about = {"history": self.history, "linear_backend": model.backbone.linear_backend}
        checkpoint.write_checkpoint(path, tensors, about)

    @classmethod
    def load(cls, path: Path, model: TunedModel, optimizer: Optimizer) -> TrainingProgress:
        """Restore learner and optimizer, and return the progress. Raises `UserError` for the state of another run."""
        tensors, about = checkpoint.read_checkpoint(path)
        before, now = about.get("linear_backend"), model.backbone.linear_backend
        if before is None:  # an older file
            before = "onednn" if about.get("fast_linear") is True else "torch"
        if before != now:
            warn_user(
                f"{path} was computed with linear_backend={shown(before)}, and training continues with {now!r}: "
                f"results differ from those of an uninterrupted run by rounding"
            )
        rows, where = history_of(about, path), f"{path} does not fit this run (delete it to start again)"

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}

        best = part("best.")
        states = [part(f"states.{e}.") for e in range(len(rows) if model.method.needs_history else 0)]
        for learned in (*states, *([best] if best else []), part("learner.")):  # all are checked; the last one stays
            checkpoint.load_learner(model.learner, learned, where)
        known = ("learner.", "optimizer.", "best.", *(f"states.{e}." for e in range(len(states))))
        odd = [name for name in tensors if not name.startswith(known)]
        if odd:
            raise UserError(f"{where}: {shown(min(odd))} is unexpected")
        optimizer.load_state_dict(
            {**optimizer.state_dict(), "state": _optimizer_state(part("optimizer."), optimizer, where)}
        )
        return cls(rows, best, states)


def history_of(about: Mapping[str, Any], path: Path) -> list[dict[str, float]]:
    """The rows of the finished epochs in the metadata of a state. Raises `UserError` for anything else."""
    rows = about.get("history")
    if (
        not isinstance(rows, list)
        or not all(map(_is_row, rows, range(len(rows))))
        or len({"val" in r for r in rows}) > 1
    ):
        raise UserError(f"the history in {path} is not a list of finished epochs; delete it to start again")
    return rows


def _is_row(row: Any, epoch: int) -> bool:
    return isinstance(row, dict) and row.get("epoch") == epoch and all(type(v) in (int, float) for v in row.values())


def _optimizer_state(tensors: Mapping[str, Tensor], optimizer: Optimizer, where: str) -> dict[int, dict[str, Tensor]]:
    """The state of an optimizer by parameter, from names such as "0.momentum_buffer"."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        i, _, name = key.partition(".")
        own = parameters[int(i)] if i.isdecimal() and int(i) < len(parameters) else None
        shapes = () if own is None else ((), own.shape) if name == "step" else (own.shape,)
        if name not in OPTIMIZER_STATE[type(optimizer)] or tensor.shape not in shapes or not tensor.is_floating_point():
            raise UserError(f"{where}: {shown('optimizer.' + key)} is not a state of this optimizer")
        if not tensor.isfinite().all():
            raise UserError(f"{where}: optimizer.{key} contains values that are not finite")
        states[int(i)][name] = tensor
    if any(set(state) != set(OPTIMIZER_STATE[type(optimizer)]) for state in states.values()):
        raise UserError(f"{where}: a part of the optimizer's state is missing")
    return dict(states)
