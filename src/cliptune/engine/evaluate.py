"""Predictions of a model on a test set, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.data.dataset import Dataset
from cliptune.data.loader import ExampleSet
from cliptune.data.targets import multi_hot
from cliptune.data.templates import templates_of
from cliptune.engine import feature_store
from cliptune.engine.nan_checks import check_logits
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Example, TestSet

#: Number of example sets whose features a backbone keeps, the most recently used ones.
MAX_CACHED_SETS = 16


@torch.no_grad()
def predict_logits(
    model: TunedModel,
    dataset: Dataset,
    test: TestSet,
    *,
    batch_size: int = 100,
    preset: str = "crop",
    workers: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits `(n, columns)` of the examples of a test set, in their order. Text features are computed once.

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
    batches = []
    for view in encoder_inputs(tuned, dataset, test.examples, batch_size=batch_size, preset=preset, workers=workers):
        batches.append(check_logits(tuned({"image": view}).logits).float().cpu())
        if tick is not None:
            tick(len(view))
    return torch.cat(batches)


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
    for batch in loaded.in_order(batch_size, backbone.logit_scale.device, workers=workers):
        yield batch.images


def compute_metrics(logits: Tensor, test: TestSet, name: str) -> dict[str, float]:
    """Metrics of logits `(n, columns)` in percent: the accuracy under `name`, the mean average precision of multi-label
    data under `name/map`, and the accuracy of each part of the test set under the part's name."""
    targets = multi_hot(test.examples, len(test.classnames))
    precision = {} if targets is None else {f"{name}/map": mean_average_precision(logits, targets)}
    parts = {}
    for part, labels in test.parts.items():
        rows = [i for i, e in enumerate(test.examples) if e.label in labels]
        if rows:
            parts[part] = accuracy(logits[rows], TestSet(tuple(test.examples[i] for i in rows), test.classnames))
    return {name: accuracy(logits, test), **precision, **parts}


def accuracy(logits: Tensor, test: TestSet) -> float:
    """Top-1 accuracy in percent of logits `(n, columns)`. A prediction on multi-label data is correct if the image has
    that class."""
    predictions = logits.argmax(1)
    targets = multi_hot(test.examples, logits.shape[1])
    if targets is not None:
        return 100 * targets.gather(1, predictions[:, None]).double().mean().item()
    labels = torch.tensor([e.label for e in test.examples])
    return 100 * (predictions == labels).double().mean().item()


def mean_average_precision(logits: Tensor, targets: Tensor) -> float:
    """Mean average precision in percent of logits `(n, columns)` for targets `(n, C)`, over the classes that occur.

    Average precision is the sum of (R_k - R_k-1) P_k over the whole curve, not the 11-point interpolation that VOC used
    until 2009. Images are ranked by softmax probabilities: a constant added to all logits of an image changes neither
    the loss nor its prediction, so raw logits of different images are not comparable.
    """
    from torchmetrics.functional.classification import multilabel_average_precision  # takes a second to import

    occurring = targets.any(0)
    scores = logits.double().log_softmax(1)[:, : len(occurring)][:, occurring]
    # Ranks replace the scores, as only their order matters: the metric would apply a sigmoid in float32, after which
    # large scores are equal.
    ranks = torch.stack([column.unique(return_inverse=True)[1] for column in scores.T], 1) / len(scores)
    return 100 * multilabel_average_precision(ranks, targets[:, occurring].long(), int(occurring.sum())).item()
