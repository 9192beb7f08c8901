"""Train a model on a task: its images, masks and batches, and the state of an interrupted training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from cliptune import masks as mask_sources
from cliptune.data.image_store import ImageStore
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.data.transforms import PRESETS
from cliptune.data.validate import find_unreadable, raise_if_unreadable
from cliptune.engine.config import TrainConfig
from cliptune.engine.feature_cache import FeatureCache, fixed_features
from cliptune.engine.resume import TrainingProgress
from cliptune.engine.trainer import Batches, Trainer
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.masks.full import FullMasks
from cliptune.masks.source import MaskSource, ModelMaskSource
from cliptune.masks.validate import validate_masks
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, Prompts, State, Task
from cliptune.user_warnings import warn_user


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
        One row per epoch: epoch, lr of its first step, loss, each named loss, and val if validation accuracy is
        measured.

    Raises:
        UserError: If a value is no longer finite; names its tensor.
    """
    method = model.method
    if not any(p.requires_grad for p in model.learner.parameters()):
        method.prepare(model, task)
        model.eval()
        return []
    if task.chosen_on:
        training = replace(training, keep="best")
    elif training.keep == "best" and not task.val:
        raise UserError(f"keep=best needs validation images, but {task.name} has none; use keep=last")
    training = training.for_shots(len(task.train) / len(task.classnames))
    trainer = Trainer(model, task, training, fabric, watchers)
    examples, masks = training_set(model, task, training, watchers)
    resumed = resume_file if resume_file is not None and resume_file.is_file() else None
    memory = method.prepare(model, task)  # before the state is loaded: start values are those of an untrained learner
    progress = TrainingProgress.load(resumed, model, trainer.optimizer) if resumed else TrainingProgress()
    steps = max(1, len(examples) // fabric.world_size // training.batch_size)
    epochs = training.count_epochs(steps)
    if not training.steps and epochs > training.epochs:
        warn_user(
            f"with {len(examples)} training images, an epoch has {steps} {'step' if steps == 1 else 'steps'}: training "
            f"for {epochs} epochs instead of {training.epochs}, as min_steps is {training.min_steps}; min_steps=0 "
            f"prevents that"
        )
    state = State(len(progress.history), epochs, memory, steps=steps)
    batches = _batch_source(model, examples, masks, training, state, fabric)
    trainer.train(batches, state, progress, resume_file, after_epoch)
    method.finish(model, progress.states)
    if training.keep == "best" and progress.best:
        trainer.restore_best(progress)
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
    scale = {"scale": (training.crop_scale, 1.0)} if training.augment == "crop" else {}
    augment = PRESETS[training.augment](
        preprocess.size, exact=task.dataset.reading.exact_resize, interpolation=preprocess.interpolation, **scale
    )
    store = task.image_store or ImageStore(task.dataset)
    second = model.method.needs_second_view
    examples = ExampleSet(
        task.dataset, task.train, preprocess, augment=augment, seed=task.seed, store=store, second_view=second
    )
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
    if task.pool and isinstance(masks, ModelMaskSource):
        raise UserError(
            f"masks_from={spec} computes masks for the images' labels, but the training images are an unlabelled pool; "
            f"choose data, folder:PATH, beside or grid"
        )
    masks.check(task.train)
    if not masks.changes:
        validate_masks(examples, masks)
    return examples, masks


def _batch_source(
    model: TunedModel,
    examples: ExampleSet,
    masks: MaskSource | None,
    training: TrainConfig,
    state: State,
    fabric: Fabric,
) -> Callable[[int], Batches]:
    """A function that returns the batches of an epoch, from images or from cached features, with the views that train.

    state: Its number of epochs and steps is read.
    """
    method, prompts = model.method, learned_structure(model)
    process = {"rank": fabric.global_rank, "world": fabric.world_size}
    if training.cached_views and masks is not None and masks.changes:
        warn_user(f"cached_views={training.cached_views} is ignored, as masks change from epoch to epoch")
    cached = training.cached_views and not (masks is not None and masks.changes)
    cache = FeatureCache(model, examples, training.cached_views, masks) if cached else None
    fixed = None if cached else fixed_features(model, prompts, examples, training, state.epochs)
    workers, no_masks = workers_for(training.workers, fabric.device), FullMasks()

    def from_images(epoch: int) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        epoch_masks = None if masks is None else masks.for_epoch(epoch)
        if epoch_masks is not None and not method.needs_masks(prompts, replace(state, epoch=epoch, step=0)):
            epoch_masks = no_masks
        if isinstance(epoch_masks, ModelMaskSource):
            epoch_masks = epoch_masks.refreshed(model, examples.squashed_batches(epoch_masks.batch_size))
        for batch in examples.epoch_batches(
            epoch, training.batch_size, fabric.device, masks=epoch_masks, workers=workers, **process
        ):
            views = method.views(batch)
            if fixed is not None:
                known = fixed[batch.index]
                views = {name: known if view is batch.images else view for name, view in views.items()}
            yield batch, views

    def batches(epoch: int) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        source = cache.epoch_batches(epoch, training.batch_size, **process) if cache else from_images(epoch)
        for step, (batch, views) in enumerate(source):
            idle = method.idle_views(prompts, replace(state, epoch=epoch, step=step))
            yield batch, {name: view for name, view in views.items() if name not in idle}

    return batches


def learned_structure(model: TunedModel) -> Prompts:
    """The learner's output before training, for `Method.idle_views`; random numbers that it draws are drawn again."""
    with torch.no_grad(), torch.random.fork_rng():
        return model.prompts(merge=False)
