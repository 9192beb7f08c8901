"""Train and predict on all images of a dataset, without test images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock

import torch
from torch import Tensor

from cliptune import experiment, tasks
from cliptune.backbones.feature_memo import FEATURES, remember_features
from cliptune.config import RunConfig
from cliptune.data.custom.common.torch_dataset import PREFIX
from cliptune.data.image_store import ImageStore
from cliptune.data.loader import ExampleSet
from cliptune.data.sources import apply_config
from cliptune.data.validate import drop_unreadable, find_unreadable, raise_if_unreadable
from cliptune.engine.nan_checks import check_logits
from cliptune.files import cache_folder
from cliptune.sklearn.images import ImageDataset
from cliptune.tuned import Tuned
from cliptune.types import Task
from cliptune.user_warnings import warn_user

#: Images encoded at a time.
BATCH_SIZE = 64

#: Held to train or to predict: the threads of a search take turns, as they share the backbone and its settings.
one_at_a_time = RLock()


def train_on(run: RunConfig, dataset: ImageDataset) -> tuple[Tuned, list[dict[str, float]]]:
    """The model tuned on the images of a dataset as `ct.train` does, and one history row per epoch.

    Raises `UserError` that names unreadable images; they are left out with `DataConfig.skip_bad`.
    """
    run = replace(run, data=data_name(dataset))
    fabric = experiment.launch_fabric(run.device, run.devices, run.precision)
    task = _readable(tasks.build_task(run, apply_config(dataset, run.reading)))
    _warn_of_holdout(run, task.dataset)
    backbone = experiment.cached_backbone(run.backbone, run.pretrained, run.activation, run.linear_backend)
    tasks.warn_of_small_backbone(backbone, task.dataset)
    fixed_views = run.training.augment == "none" or run.training.cached_views > 0
    with backbone.autocast_with(fabric.autocast), _remembered(run, fixed_views):
        model, _, history = experiment.train_stages(run, experiment.coreset_task(run, task, fabric), fabric)
    return Tuned(model, replace(run, method=model.method)), history


@torch.no_grad()
def image_logits(tuned: Tuned, dataset: ImageDataset) -> Tensor:
    """Logits `(n, n_classes)` of the images in their order, on the CPU. Raises `UserError` for unreadable images."""
    run, model = tuned.run, tuned.model
    dataset = apply_config(dataset, run.reading)  # type: ignore[assignment]
    examples, device = dataset.all_examples, model.backbone.logit_scale.device
    images = ExampleSet(dataset, examples, model.backbone.preprocess, preset=run.training.augment, keep=False)
    with one_at_a_time, _remembered(run, True):
        found = [model({"image": batch.images}).logits for batch in images.in_order(BATCH_SIZE, device)]
    return check_logits(torch.cat(found)[:, : len(tuned.classnames)]).float().cpu()


@contextmanager
def _remembered(run: RunConfig, fixed_views: bool) -> Iterator[None]:
    """Remember features of the frozen image tower within the block, unless the run caches nothing.

    fixed_views: Whether images are always seen in the same views, whose features are stored for other processes. Those
        of drawn views serve only fits with the same images and seed, and would fill the file.
    """
    if not run.reading.cache:
        yield
        return
    with remember_features(cache_folder("features") / FEATURES if fixed_views else None, whole_batches=not fixed_views):
        yield


def _readable(task: Task) -> Task:
    """The task with the store of its images, all of which are read."""
    if task.dataset.reading.skip_bad:
        return drop_unreadable(task, decode_train=True)[0]
    store, by_key = ImageStore(task.dataset), {e.key: e for e in (*task.train, *task.val)}
    bad = find_unreadable(by_key.values(), files=task.dataset.image_files, stores=dict.fromkeys(by_key, store))
    raise_if_unreadable(bad, by_key)
    return replace(task, image_store=store)


def _warn_of_holdout(run: RunConfig, dataset: ImageDataset) -> None:
    if dataset.uses_holdout and (aside := dataset.aside()):
        warn_user(
            f"{tasks.validation_use(run)} needs validation images: {len(aside)} of {len(dataset.all_examples)} "
            f"training images are set aside for it"
        )


def data_name(dataset: ImageDataset) -> str:
    """The name of the images in a run: a hash of class names, labels and paths."""
    content = [(e.key, e.label) for e in dataset.examples("train")]
    digest = hashlib.sha256(repr([dataset.classnames, content]).encode(errors="surrogateescape"))
    return f"{PREFIX}:{dataset.name}@{digest.hexdigest()[:12]}"
