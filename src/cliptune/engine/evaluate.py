"""A model's answers on a test set, and their accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cliptune.data.dataset import Dataset
from cliptune.data.loader import ExampleSet
from cliptune.model import TunedModel
from cliptune.types import TestSet


@torch.no_grad()
def logits(
    model: TunedModel,
    dataset: Dataset,
    test: TestSet,
    *,
    batch_size: int = 100,
    workers: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits `(n, columns)` of the test set's examples in their order; text features are computed once.

    tick: told the number of images done after each batch.
    """
    tuned = model.with_classes(test.classnames).eval()
    backbone = model.backbone
    examples = ExampleSet(dataset, test.examples, backbone.image_size, backbone.mean, backbone.std)
    pieces = []
    for batch in examples.in_order(batch_size, backbone.logit_scale.device, workers=workers):
        pieces.append(tuned({"image": batch.images}).logits.float().cpu())
        if tick is not None:
            tick(len(batch.images))
    return torch.cat(pieces)


def accuracy(answers: Tensor, test: TestSet) -> float:
    """Top-1 accuracy in percent of logits `(n, columns)`."""
    labels = torch.tensor([e.label for e in test.examples])
    return 100 * (answers.argmax(1) == labels).double().mean().item()
