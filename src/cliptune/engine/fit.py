"""The training loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from cliptune import masks as mask_sources
from cliptune.data.image_store import ImageStore
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import PRESETS
from cliptune.data.validate import find_unreadable, raise_if_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.evaluate import accuracy, predict_logits
from cliptune.engine.feature_cache import FeatureCache
from cliptune.engine.nan_checks import check_losses, check_parameters
from cliptune.engine.optim import learning_rate, make_optimizer
from cliptune.engine.resume import TrainingProgress
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.masks.source import MaskSource, ModelMaskSource
from cliptune.masks.validate import validate_masks
from cliptune.model.method import Method
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State, Task, TestSet

#: Batches and their views by name, images or features.
Batches = Iterable[tuple[Batch, Mapping[str, Tensor]]]


def fit(
    model: TunedModel,
    task: Task,
    training: TrainConfig,
    *,
    fabric: Fabric,
    watchers: Sequence[Watcher] = (),
    resume_file: Path | None = None,
    after_epoch: Callable[[int], Mapping[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train `model.learner` on `task.train`.

    Args:
        fabric: Device, precision and processes.
        watchers: Observers of the training.
        resume_file: File for the state of training after each epoch. If it exists, training continues from it, with the
            same numbers as without an interruption.
        after_epoch: Called with the index of each finished epoch; the metrics it returns are merged into its row.

    Returns:
        One row per epoch: epoch, lr, loss, each named loss, and val if validation accuracy is measured.

    Raises:
        UserError: If a value is no longer finite; names its tensor.
    """
    method = model.method
    parameters = [p for p in model.learner.parameters() if p.requires_grad]
    if not parameters:
        method.prepare(model, task)
        model.eval()
        return []
    if training.keep == "best" and not task.val:
        raise UserError(f"keep=best needs validation images, but {task.name} has none; use keep=last")
    optimizer = make_optimizer(parameters, training)
    update = _make_update(method, parameters, optimizer, fabric)
    examples, masks = training_set(model, task, training, watchers)
    resumed = resume_file if resume_file is not None and resume_file.is_file() else None
    memory = method.prepare(model, task)  # before the state is loaded: start values are those of an untrained learner
    progress = TrainingProgress.load(resumed, model, optimizer) if resumed else TrainingProgress()
    steps = max(1, len(examples) // fabric.world_size // training.batch_size)
    state = State(len(progress.history), training.epochs, memory, steps=steps)
    batches = _batch_source(model, examples, masks, training, fabric)
    for watcher in watchers:
        watcher.begin(training.epochs, steps, state.epoch)
    try:
        while state.epoch < training.epochs:
            rate = learning_rate(
                state.epoch,
                base=training.lr,
                epochs=training.epochs,
                warmup_epochs=training.warmup_epochs,
                warmup_lr=training.warmup_lr,
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = _train_epoch(model, batches(state.epoch), state, update, watchers)
            row = {"epoch": state.epoch, "lr": rate, **_mean_losses(losses, fabric)}
            if training.keep == "best":
                row["val"] = validate(model, task, training)
            row |= after_epoch(state.epoch) if after_epoch else {}
            progress.add(row, model)
            state.epoch += 1
            if resume_file and fabric.is_global_zero:
                progress.save(resume_file, model, optimizer)
            for watcher in watchers:
                watcher.epoch(row)
    finally:
        for watcher in watchers:
            watcher.end()
    method.finish(model, progress.states)
    if training.keep == "best" and progress.best:
        # The result of `finish` competes with the best epoch.
        best = max(row["val"] for row in progress.history)
        if not method.needs_history or validate(model, task, training) < best:
            model.learner.load_state_dict(progress.best)
    model.eval()
    return progress.history


def training_set(
    model: TunedModel, task: Task, training: TrainConfig, watchers: Sequence[Watcher] = ()
) -> tuple[ExampleSet, MaskSource | None]:
    """The training images of a task and the source of their masks (None for methods without masks).

    Every image, and every mask that does not change, is read once, so that unreadable ones stop the run before it
    trains.
    """
    preprocess, spec = model.backbone.preprocess, model.method.mask_source()
    augment = PRESETS[training.augment](
        preprocess.size, exact=task.dataset.reading.exact_resize, interpolation=preprocess.interpolation
    )
    store = task.image_store or ImageStore(task.dataset)
    examples = ExampleSet(task.dataset, task.train, preprocess, augment=augment, seed=task.seed, store=store)
    unread = [e for e in task.train if not store.was_read(e)]
    if unread:
        tick = progress_callback(watchers, "reading images")
        stores = {e.key: store for e in unread}
        bad = find_unreadable(unread, tick, files=task.dataset.image_files, stores=stores, warn=False)
        raise_if_unreadable(bad, {e.key: e for e in task.train})
    if spec is None:
        return examples, None
    provided = {e.key for e in task.train if e.mask is not None or e.boxes or store.has_mask(e)}
    masks = mask_sources.choose_source(spec, provided, len({e.key for e in task.train}), task.seed)
    masks.check(task.train)
    if not masks.changes:
        validate_masks(examples, masks)
    return examples, masks


def validate(model: TunedModel, task: Task, training: TrainConfig) -> float:
    """Accuracy in percent on the validation images."""
    test = TestSet(task.val, task.classnames)
    return accuracy(predict_logits(model, task.dataset, test, preset=training.augment, workers=training.workers), test)


def _make_update(
    method: Method, parameters: Sequence[Tensor], optimizer: Optimizer, fabric: Fabric
) -> Callable[[Mapping[str, Tensor]], None]:
    """A function that takes an optimizer step on named losses, with loss scaling in half precision."""
    scaler = torch.amp.GradScaler(fabric.device.type, enabled=fabric._precision.precision == "16-mixed")

    def update(losses: Mapping[str, Tensor]) -> None:
        optimizer.zero_grad(set_to_none=True)
        method.update({name: scaler.scale(loss) for name, loss in losses.items()}, parameters)
        _average_gradients(parameters, fabric)
        scaler.step(optimizer)
        scaler.update()

    return update


def _train_epoch(
    model: TunedModel,
    batches: Batches,
    state: State,
    update: Callable[[Mapping[str, Tensor]], None],
    watchers: Sequence[Watcher],
) -> list[dict[str, float]]:
    """Train for one epoch; returns the losses of each step."""
    method, history = model.method, []
    model.train()
    for step, (batch, views) in enumerate(batches):
        state.step = step
        method.before_step(model, state)
        out = model(views, state)
        losses = method.losses(out, batch, state)
        history.append(check_losses(losses, out, model))
        update(losses)
        for watcher in watchers:
            watcher.step(state.epoch, history[-1])
    method.after_epoch(model, state)
    check_parameters(model)
    return history


def _batch_source(
    model: TunedModel, examples: ExampleSet, masks: MaskSource | None, training: TrainConfig, fabric: Fabric
) -> Callable[[int], Batches]:
    """A function that returns the batches of an epoch, from images or from cached features."""
    process = {"rank": fabric.global_rank, "world": fabric.world_size}
    if training.cached_views and masks is not None and masks.changes:
        warnings.warn(
            f"cached_views={training.cached_views} is ignored, as masks change from epoch to epoch", stacklevel=3
        )
    elif training.cached_views:
        cache = FeatureCache(model, examples, training.cached_views, masks)
        return lambda epoch: cache.epoch_batches(epoch, training.batch_size, **process)

    def batches(epoch: int) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        epoch_masks = None if masks is None else masks.for_epoch(epoch)
        if isinstance(epoch_masks, ModelMaskSource):
            epoch_masks = epoch_masks.refreshed(model, examples.squashed_batches(epoch_masks.batch_size))
        for batch in examples.epoch_batches(
            epoch, training.batch_size, fabric.device, masks=epoch_masks, workers=training.workers, **process
        ):
            yield batch, model.method.views(batch)

    return batches


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
