"""The task of a run: its protocol applied to its data, and the checks of its images before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cliptune import masks, methods, protocols
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.bundled import BUNDLED, DEFAULTS, PRETRAINED_FLAGS
from cliptune.config import RunConfig
from cliptune.data import duplicates, sources
from cliptune.data.dataset import Dataset
from cliptune.data.splits import count_classes
from cliptune.data.validate import drop_unreadable
from cliptune.engine import coreset, untested_classes
from cliptune.engine.watchers import Watcher, progress_callback
from cliptune.errors import UserError
from cliptune.masks.validate import drop_unusable
from cliptune.types import Task
from cliptune.user_warnings import warn_user


def open_dataset(run: RunConfig) -> Dataset:
    """The dataset of a run. A folder is listed again, as its images may have changed."""
    return sources.get(run.data, run.reading)


def build_task(run: RunConfig, dataset: Dataset | None = None) -> Task:
    """The task of a run: its protocol applied to its data, with its shots and seed.

    dataset: The run's dataset, if the caller has opened it already.
    """
    more: dict[str, Any] = {}
    for option in ("targets", "joint"):
        if protocols.has_option(run.protocol, option):
            more[option] = getattr(run, option)
        elif getattr(run, option):
            have = ", ".join(name for name in protocols.names() if protocols.has_option(name, option))
            raise UserError(f"{run.protocol} has no {option}, only {have}; leave it out or choose another protocol")
    if run.method.pool:
        _check_pool(run)
        more["pool"] = True
    dataset = dataset or open_dataset(run)
    dataset = dataset.with_holdout() if validation_use(run) else dataset
    task = next(iter(protocols.get(run.protocol)(dataset, shots=run.shots, seeds=(run.seed,), **more)))
    return replace(task, chosen_on=next(iter(task.tests))) if run.method.chooses_on_test else task


def _check_pool(run: RunConfig) -> None:
    """Raise `UserError` if the run cannot give its method a pool of unlabelled images."""
    name = methods.name_of(run.method)
    if not protocols.has_option(run.protocol, "pool"):
        have = ", ".join(name for name in protocols.names() if protocols.has_option(name, "pool"))
        raise UserError(f"{name} trains on a pool of unlabelled images, which {run.protocol} has not; choose {have}")
    if run.fraction < 1:
        raise UserError(
            f"fraction={run.fraction} selects images by label, but {name} trains on unlabelled images; leave it at 1"
        )


def validation_use(run: RunConfig) -> str:
    """What in a run needs validation images, in words, or ""."""
    if run.training.keep == "best" and run.method.trains:
        return "keep=best"
    chooses = run.fraction < 1 and coreset.uses_validation(run.selector)
    return run.method.validation_use or (f"selector={run.selector}" if chooses else "")


def validate_images(run: RunConfig, task: Task, watchers: Sequence[Watcher] = ()) -> tuple[Task, dict[str, Any]]:
    """Check the images of a task before training.

    Returns:
        The task without images that are left out, and the entries `left_out` and `duplicates` of its record.

    Raises:
        UserError: There is nothing to train or to test on, or images cannot be read.
    """
    if not task.train and run.method.trains:
        raise UserError(
            f"{run.data} has no training images, as it is a test set: tune on other data, then "
            f"cliptune evaluate RUN --data {run.data}"
        )
    if run.method.pool and not task.pool:
        raise UserError(
            f"{methods.name_of(run.method)} trains on a pool of unlabelled images, and this task has none; build the "
            f"task from this run"
        )
    # A coreset reads what it needs itself: of a large dataset, that may be a small part.
    decode = run.method.trains and run.fraction == 1
    task, left_out = drop_unreadable(task, progress_callback(watchers, "reading images"), decode_train=decode)
    if task.dataset.reading.skip_bad and (spec := run.method.mask_source()):
        task, unmasked = drop_unusable(task, masks.get("data" if spec == "auto" else spec, task.seed))
        left_out |= unmasked
    untested_classes.check_test_images(task, run.data)
    twice = duplicates.warn_of_duplicates(task, run.data)
    _warn_of_holdout(task.dataset, validation_use(run) or "tuning", run.data)
    return task, {name: found for name, found in (("left_out", left_out), ("duplicates", twice)) if found}


def warn_of_image_kind(backbone: Backbone, dataset: Dataset | None) -> None:
    """Warn if a bundled backbone gets images of another kind than it was trained on. dataset: None if unknown."""
    kind = Dataset.image_kind if dataset is None else dataset.image_kind
    if (own := BUNDLED.get(backbone.name)) and own.trained_on != kind:
        others = [f"--backbone {DEFAULTS[kind]}"] if kind in DEFAULTS else []
        warn_user(
            f"the bundled {own.name} backbone knows {own.trained_on} only: its accuracy on {kind} is near chance; for "
            f"these, use {' or '.join([*others, PRETRAINED_FLAGS])}"
        )


def warn_of_small_backbone(backbone: Backbone, dataset: Dataset) -> None:
    """`warn_of_image_kind`; for the bundled backbone that fits photographs, say that a pretrained CLIP is better."""
    warn_of_image_kind(backbone, dataset)
    if backbone.name in BUNDLED and BUNDLED[backbone.name].trained_on == dataset.image_kind == Dataset.image_kind:
        warn_user(
            f"the bundled {backbone.name} backbone is small, for trying things out; a pretrained CLIP is far more "
            f"accurate: {PRETRAINED_FLAGS}"
        )


def _warn_of_holdout(dataset: Dataset, asks: str, data: str) -> None:
    """Warn of how many training images are set aside for validation.

    asks: What needs validation images. data: The run's name for its data.
    """
    aside = count_classes(dataset.aside()) if dataset.uses_holdout else {}
    if not aside:
        return
    left, (label, spared) = dataset.sizes(), max(aside.items(), key=lambda item: item[1])
    every, own = sum(left.values()) + sum(aside.values()), left.get(label, 0) + spared
    warn_user(
        f"{asks} needs validation images, and {data} marks none: {sum(aside.values())} of {every} training images are "
        f"set aside for it ({spared} of the {own} of class {dataset.classnames[label]!r}); mark some as val to choose "
        f"them" + (", or train on all of them with keep=last" if asks == "keep=best" else "")
    )
