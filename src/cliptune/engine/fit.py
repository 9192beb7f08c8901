"""The one training loop."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

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
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, State, Task, TestSet


def fit(
    model: TunedModel,
    task: Task,
    training: TrainConfig,
    *,
    fabric: Fabric,
    watchers: Sequence[Watcher] = (),
    resume_file: Path | None = None,
    after: Callable[[int], Mapping[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train `model.learner` on `task.train`; returns one row an epoch (epoch, lr, loss, each loss, val where measured).

    resume_file: holds training's state after each epoch; if it is there, training goes on from it with the same
    numbers. after: told each epoch when it is done, may look at the model, and adds to the epoch's row.
    Raises `UserError` naming the tensor when a number is no longer finite.
    """
    method = model.method
    parameters = [p for p in model.learner.parameters() if p.requires_grad]
    if not parameters:
        method.prepare(model, task)
        model.eval()
        return []
    if training.keep == "best" and not task.val:
        raise UserError(f"keep=best needs validation pictures, but {task.name} has none; use keep=last")
    optimizer = make_optimizer(parameters, training)
    scaler = torch.amp.GradScaler(fabric.device.type, enabled=fabric._precision.precision == "16-mixed")
    examples, masks = training_set(model, task, training, watchers)
    held = resume_file if resume_file is not None and resume_file.is_file() else None
    memory = method.prepare(model, task)  # start values are those of a fresh learner, also in a run that goes on
    progress = TrainingProgress.load(held, model, optimizer) if held else TrainingProgress()
    steps = max(1, len(examples) // fabric.world_size // training.batch_size)
    state = State(len(progress.history), training.epochs, memory, steps=steps)
    batches = _source(model, examples, masks, training, fabric)
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
            model.train()
            seen: list[dict[str, float]] = []
            for step, (batch, views) in enumerate(batches(state.epoch)):
                state.step = step
                method.before_step(model, state)
                out = model(views, state)
                losses = method.losses(out, batch, state)
                seen.append(check_losses(losses, out, model))
                optimizer.zero_grad(set_to_none=True)
                method.update({name: scaler.scale(loss) for name, loss in losses.items()}, parameters)
                _average(parameters, fabric)
                scaler.step(optimizer)
                scaler.update()
                for watcher in watchers:
                    watcher.step(state.epoch, seen[-1])
            method.after_epoch(model, state)
            check_parameters(model)
            row = {"epoch": state.epoch, "lr": rate, **_means(seen, fabric)}
            if training.keep == "best":
                row["val"] = validate(model, task, training)
            row |= after(state.epoch) if after else {}
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
        # What `finish` made of the epochs is a candidate beside them.
        reached = max(row["val"] for row in progress.history)
        if not method.needs_history or validate(model, task, training) < reached:
            model.learner.load_state_dict(progress.best)
    model.eval()
    return progress.history


def training_set(
    model: TunedModel, task: Task, training: TrainConfig, watchers: Sequence[Watcher] = ()
) -> tuple[ExampleSet, MaskSource | None]:
    """The task's training images and the source of their masks (None for methods without masks).

    Every image and every mask that stays the same is read once, so that unreadable ones stop the run before it starts.
    """
    preprocess, spec = model.backbone.preprocess, model.method.masks()
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
    brought = {e.key for e in task.train if e.mask is not None or e.boxes or store.has_mask(e)}
    masks = mask_sources.choose_source(spec, brought, len({e.key for e in task.train}), task.seed)
    masks.check(task.train)
    if not masks.changes:
        validate_masks(examples, masks)
    return examples, masks


def validate(model: TunedModel, task: Task, training: TrainConfig) -> float:
    """Accuracy in percent on the validation shots."""
    test = TestSet(task.val, task.classnames)
    return accuracy(predict_logits(model, task.dataset, test, preset=training.augment, workers=training.workers), test)


def _source(model: TunedModel, examples: ExampleSet, masks: MaskSource | None, training: TrainConfig, fabric: Fabric):
    """A function of the epoch that yields batches with their views, from pictures or from cached features."""
    place = {"rank": fabric.global_rank, "world": fabric.world_size}
    if training.cached_views and masks is not None and masks.changes:
        said = "is left out, as masks change from epoch to epoch"
        warnings.warn(f"cached_views={training.cached_views} {said}", stacklevel=3)
    elif training.cached_views:
        cache = FeatureCache(model, examples, training.cached_views, masks)
        return lambda epoch: cache.epoch_batches(epoch, training.batch_size, **place)

    def batches(epoch: int) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        epoch_masks = None if masks is None else masks.for_epoch(epoch)
        if isinstance(epoch_masks, ModelMaskSource):
            epoch_masks = epoch_masks.refreshed(model, examples.squashed_batches(epoch_masks.batch_size))
        for batch in examples.epoch_batches(
            epoch, training.batch_size, fabric.device, masks=epoch_masks, workers=training.workers, **place
        ):
            yield batch, model.method.views(batch)

    return batches


def _average(parameters: Sequence[Tensor], fabric: Fabric) -> None:
    """Mean of the gradients over processes: prompts are kilobytes, so this is all that data-parallel training needs."""
    if fabric.world_size > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.copy_(cast(Tensor, fabric.all_reduce(parameter.grad, reduce_op="mean")))


def _means(seen: Sequence[Mapping[str, float]], fabric: Fabric) -> dict[str, float]:
    """Mean of each loss over the steps and processes, and of their sum; a loss that a step lacks counts as 0."""
    if not seen:
        return {"loss": float("nan")}
    names = dict.fromkeys(name for row in seen for name in row)
    means = {name: sum(row.get(name, 0.0) for row in seen) / len(seen) for name in names}
    if fabric.world_size > 1:
        told = torch.tensor(list(means.values()), dtype=torch.float64, device=fabric.device)
        means = dict(zip(means, cast(Tensor, fabric.all_reduce(told, reduce_op="mean")).tolist(), strict=True))
    return {"loss": sum(means.values()), **means}
