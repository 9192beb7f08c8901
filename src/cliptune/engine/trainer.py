"""The trainer: epochs and steps of a model's trainable parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import predict_batches
from cliptune.engine.metrics import accuracy
from cliptune.engine.nan_checks import check_losses, check_parameters
from cliptune.engine.optim import Schedule, make_optimizer, parameter_groups
from cliptune.engine.resume import TrainingProgress
from cliptune.engine.watchers import Watcher
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State, Task, TestSet

#: Batches and their views by name, images or features.
Batches = Iterable[tuple[Batch, Mapping[str, Tensor]]]


class Trainer:
    """Updates the trainable parameters of a model, with loss scaling in half precision.

    Attributes:
        optimizer: The optimizer of the parameters.
    """

    def __init__(
        self, model: TunedModel, task: Task, training: TrainConfig, fabric: Fabric, watchers: Sequence[Watcher]
    ):
        self.model, self.task, self.training, self.fabric, self.watchers = model, task, training, fabric, watchers
        self.parameters = [p for p in model.learner.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(parameter_groups(model.learner, model.method.rates()), training)
        self._scaler = torch.amp.GradScaler(fabric.device.type, enabled=fabric._precision.precision == "16-mixed")

    def train(
        self,
        batches: Callable[[int], Batches],
        state: State,
        progress: TrainingProgress,
        resume_file: Path | None = None,
        after_epoch: Callable[[int], Mapping[str, float]] | None = None,
    ) -> None:
        """Train the remaining epochs of `state`, and add the row of each to `progress`.

        Args:
            batches: Returns the batches of an epoch.
            resume_file: File for the state of training after each epoch.
            after_epoch: Called with the index of each finished epoch; returns further metrics for its row.
        """
        total = self.training.steps or state.epochs * state.steps
        schedule = Schedule(self.training, state.epochs, state.steps, total)
        with self._watched(state):
            while state.epoch < state.epochs:
                row = self._train_epoch(batches(state.epoch), state, schedule)
                if self.training.keep == "best":
                    row["val"] = validate(self.model, self.task, self.training)
                row |= after_epoch(state.epoch) if after_epoch else {}
                progress.add(row, self.model)
                state.epoch += 1
                if resume_file and self.fabric.is_global_zero:
                    progress.save(resume_file, self.model, self.optimizer)
                for watcher in self.watchers:
                    watcher.epoch(row)

    def restore_best(self, progress: TrainingProgress) -> None:
        """Load the learner of the best epoch, unless the result of `Method.finish` is at least as accurate."""
        best = max(row["val"] for row in progress.history)
        if not self.model.method.needs_history or validate(self.model, self.task, self.training) < best:
            self.model.learner.load_state_dict(progress.best)

    @contextmanager
    def _watched(self, state: State) -> Iterator[None]:
        """Tell the watchers when training begins and, also after an error, when it ends."""
        for watcher in self.watchers:
            watcher.begin(state.epochs, state.steps, state.epoch)
        try:
            yield
        finally:
            for watcher in self.watchers:
                watcher.end()

    def _train_epoch(self, batches: Batches, state: State, schedule: Schedule) -> dict[str, float]:
        """Train for one epoch. Returns its row: epoch, lr of the first step, loss and each named loss."""
        rate = schedule.rate(state.epoch)
        method, history = self.model.method, []
        self.model.train()
        for step, (batch, views) in enumerate(islice(batches, schedule.total - state.epoch * state.steps)):
            state.step = step
            schedule.apply(self.optimizer, state.epoch, step)
            method.before_step(self.model, state)
            out = self.model(views, state)
            losses = method.losses(out, batch, state)
            history.append(check_losses(losses, out, self.model))
            self._update(losses)
            for watcher in self.watchers:
                watcher.step(state.epoch, history[-1])
        method.after_epoch(self.model, state)
        check_parameters(self.model)
        return {"epoch": state.epoch, "lr": rate, **_mean_losses(history, self.fabric)}

    def _update(self, losses: Mapping[str, Tensor]) -> None:
        """Take an optimizer step on named losses."""
        self.optimizer.zero_grad(set_to_none=True)
        scaled = {name: self._scaler.scale(loss) for name, loss in losses.items()}
        self.model.method.update(scaled, self.parameters)
        _average_gradients(self.parameters, self.fabric)
        self._scaler.step(self.optimizer)
        self._scaler.update()


def validate(model: TunedModel, task: Task, training: TrainConfig) -> float:
    """Accuracy in percent on the validation images, or on the test set that chooses the epoch."""
    test = task.tests[task.chosen_on] if task.chosen_on else TestSet(task.val, task.classnames)
    batches = predict_batches(model, task.dataset, test, preset=training.augment, workers=training.workers)
    return accuracy(torch.cat([logits.argmax(1) for logits in batches]), test)


def _average_gradients(parameters: Sequence[Tensor], fabric: Fabric) -> None:
    """Average gradients over processes, the only communication: the trainable parameters are a few kilobytes."""
    if fabric.world_size > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.copy_(cast(Tensor, fabric.all_reduce(parameter.grad, reduce_op="mean")))


def _mean_losses(history: Sequence[Mapping[str, float]], fabric: Fabric) -> dict[str, float]:
    """Mean of each loss over steps and processes, and their sum as "loss". A loss absent from a step counts as 0."""
    if not history:
        return {"loss": float("nan")}
    names = dict.fromkeys(name for row in history for name in row)
    means = {name: sum(row.get(name, 0.0) for row in history) / len(history) for name in names}
    if fabric.world_size > 1:
        values = torch.tensor(list(means.values()), dtype=torch.float64, device=fabric.device)
        means = dict(zip(means, cast(Tensor, fabric.all_reduce(values, reduce_op="mean")).tolist(), strict=True))
    return {"loss": sum(means.values()), **means}
