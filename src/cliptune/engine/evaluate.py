"""A model's answers on a test set, and how good they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from cliptune.backbones.backbone import Backbone
from cliptune.data.dataset import Dataset
from cliptune.data.loader import ExampleSet
from cliptune.data.targets import multi_hot
from cliptune.engine import feature_store
from cliptune.engine.nan_checks import check_logits
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Example, TestSet

#: Features by a frozen image tower, which zero-shot and all text-only methods share: kilobytes an image.
#: The dataset is held with them, so that its identity stays its own.
_kept: WeakKeyDictionary[Backbone, dict[Any, tuple[Dataset, list[Tensor]]]] = WeakKeyDictionary()

#: Sets of examples of a backbone whose features are kept, the latest.
KEPT = 16


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
    """Logits `(n, columns)` of the test set's examples in their order; text features are computed once.

    dataset: what reads them, where the test set has none of its own.

    preset: of the training views, which decides the test's too. tick: told the number of images done after each batch.
    Raises `UserError` where a logit is not finite.
    """
    dataset = test.dataset or dataset
    novel = False if test.dataset is not None else None  # other data has other classes, of which none were left out
    tuned = model.with_classes(test.classnames, test.templates, novel=novel).eval()
    pieces = []
    for view in encoder_inputs(tuned, dataset, test.examples, batch_size=batch_size, preset=preset, workers=workers):
        pieces.append(check_logits(tuned({"image": view}).logits).float().cpu())
        if tick is not None:
            tick(len(view))
    return torch.cat(pieces)


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
    """The examples as the model takes them, batch by batch: normalised images, or features `(b, d)` where it leaves the
    image tower alone; those are computed once for all that do."""
    pictures = _pictures(model.backbone, dataset, examples, batch_size, preset, workers)
    if not model.learner().fixed_image:
        yield from pictures
        return
    held = _kept.setdefault(model.backbone, {})
    place = model.backbone.logit_scale.device, model.backbone.autocast
    key = (id(dataset), hash(tuple(e.key for e in examples)), preset == "coop-2021", *place)
    kept = held[key][1] if key in held else None
    file = feature_store.file_of(model.backbone, dataset, examples, key[2], batch_size) if kept is None else None
    features = []
    with feature_store.turn(file):
        kept = kept or feature_store.read(file, batch_size, place[0])
        for view in kept or pictures:
            features.append(view if kept else model.backbone.encode_image(view))
            yield features[-1]
        if kept is None:
            feature_store.write(file, features)
    held.pop(key, None)
    held[key] = dataset, features
    for stale in list(held)[:-KEPT]:
        del held[stale]


def _pictures(
    backbone: Backbone, dataset: Dataset, examples: Sequence[Example], batch_size: int, preset: str, workers: int
) -> Iterator[Tensor]:
    """The examples' normalised images, batch by batch."""
    loaded = ExampleSet(dataset, examples, backbone.preprocess, preset=preset, keep=False)
    for batch in loaded.in_order(batch_size, backbone.logit_scale.device, workers=workers):
        yield batch.images


def compute_metrics(answers: Tensor, test: TestSet, name: str) -> dict[str, float]:
    """Metrics of logits `(n, columns)` in percent: `name`, accuracy; of multi-label data also `name/map`, mean average
    precision; and accuracies of its parts."""
    targets = multi_hot(test.examples, len(test.classnames))
    precision = {} if targets is None else {f"{name}/map": mean_average_precision(answers, targets)}
    parts = {}
    for part, labels in test.parts.items():
        chosen = [i for i, e in enumerate(test.examples) if e.label in labels]
        if chosen:
            parts[part] = accuracy(answers[chosen], TestSet(tuple(test.examples[i] for i in chosen), test.classnames))
    return {name: accuracy(answers, test), **precision, **parts}


def accuracy(answers: Tensor, test: TestSet) -> float:
    """Top-1 accuracy in percent of logits `(n, columns)`; of multi-label data, how often the best answer is in the
    picture."""
    best = answers.argmax(1)
    targets = multi_hot(test.examples, answers.shape[1])
    if targets is not None:
        return 100 * targets.gather(1, best[:, None]).double().mean().item()
    labels = torch.tensor([e.label for e in test.examples])
    return 100 * (best == labels).double().mean().item()


def mean_average_precision(answers: Tensor, targets: Tensor) -> float:
    """Mean average precision in percent of logits `(n, columns)` for targets `(n, C)`, over the classes that occur.

    Average precision is that of the whole curve, sum of (R_k - R_k-1) P_k, not of eleven points of it as VOC had until
    2009. Pictures are ordered by the softmax: what is added to all logits of a picture changes neither the loss nor its
    best answer, so that bare cosines of different pictures do not compare.
    """
    from torchmetrics.functional.classification import multilabel_average_precision  # takes a second to import

    there = targets.any(0)
    likely = answers.double().log_softmax(1)[:, : len(there)][:, there]
    # Places stand for the values, as only their order counts: the metric would put logits through a sigmoid in float32,
    # and so make large ones equal.
    places = torch.stack([column.unique(return_inverse=True)[1] for column in likely.T], 1) / len(likely)
    return 100 * multilabel_average_precision(places, targets[:, there].long(), int(there.sum())).item()
