"""Predictions of a model on a test set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.data.dataset import Dataset
from cliptune.data.items import workers_for
from cliptune.data.loader import ExampleSet
from cliptune.data.templates import templates_of
from cliptune.engine import feature_store
from cliptune.engine.nan_checks import check_logits
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Example, TestSet

#: Number of example sets whose features a backbone keeps, the most recently used ones.
MAX_CACHED_SETS = 16


def predict_logits(model: TunedModel, dataset: Dataset, test: TestSet, **options: Any) -> Tensor:
    """Logits `(n, columns)` of the examples of a test set, in their order, which all must fit into memory.

    options: As for `predict_batches`, which raises errors as well.
    """
    return torch.cat(list(predict_batches(model, dataset, test, **options)))


@torch.no_grad()
def predict_batches(
    model: TunedModel,
    dataset: Dataset,
    test: TestSet,
    *,
    batch_size: int = 100,
    preset: str = "crop",
    workers: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Iterator[Tensor]:
    """Logits `(b, columns)` of the examples of a test set in float32 on the CPU, batch by batch in their order. Text
    features are computed once.

    Args:
        dataset: Reads the examples if the test set has no dataset of its own.
        preset: Name of the training preset, which determines the evaluation view.
        tick: Called with the number of images after each batch.

    Raises:
        UserError: If a logit is not finite.
    """
    dataset = test.dataset or dataset
    other = test.dataset is not None
    novel = False if other else None  # no class of another dataset was left out of training
    templates = test.templates
    if test.dataset is not None and templates == tuple(test.dataset.templates):
        templates = templates_of(test.dataset, model.method.template_table)
    tuned = model.with_classes(test.classnames, templates, novel=novel, other_data=other).eval()
    for view in encoder_inputs(tuned, dataset, test.examples, batch_size=batch_size, preset=preset, workers=workers):
        yield check_logits(tuned({"image": view}).logits).float().cpu()
        if tick is not None:
            tick(len(view))


@torch.no_grad()
def encoder_inputs(
    model: TunedModel,
    dataset: Dataset,
    examples: Sequence[Example],
    *,
    batch_size: int = 100,
    preset: str = "crop",
    workers: int = 0,
) -> Iterator[Tensor]:
    """Batches of evaluation views, as the model accepts them: normalised images `(b, 3, height, width)`, or image
    features `(b, d)` if the method leaves the image tower unchanged.

    Features are computed once for all models with the same backbone; see also `feature_store`.
    """
    backbone = model.backbone
    images = _image_batches(backbone, dataset, examples, batch_size, preset, workers)
    if not model.fixed_image:
        yield from images
        return
    device = backbone.logit_scale.device
    view = preset == "coop-2021"  # that preset alone has another evaluation view
    key = (dataset, hash(tuple(e.key for e in examples)), view, device, backbone.autocast)
    features = backbone.feature_cache.pop(key, None)
    if features is not None:
        yield from features
    else:
        features = []
        file = feature_store.feature_file(backbone, dataset, examples, view, batch_size)
        with feature_store.exclusive(file):
            stored = feature_store.read_features(file, batch_size, device)
            for batch in images if stored is None else stored:
                features.append(backbone.encode_image(batch) if stored is None else batch)
                yield features[-1]
            if stored is None:
                feature_store.write_features(file, features)
    backbone.feature_cache[key] = features  # last in order: most recently used
    for oldest in list(backbone.feature_cache)[:-MAX_CACHED_SETS]:
        del backbone.feature_cache[oldest]


def _image_batches(
    backbone: Backbone, dataset: Dataset, examples: Sequence[Example], batch_size: int, preset: str, workers: int
) -> Iterator[Tensor]:
    loaded = ExampleSet(dataset, examples, backbone.preprocess, preset=preset, keep=False)
    device = backbone.logit_scale.device
    for batch in loaded.in_order(batch_size, device, workers=workers_for(workers, device)):
        yield batch.images
