"""Image features of fixed augmented views, the training data of text-only methods with `cached_views`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from cliptune.data.items import to_device
from cliptune.data.loader import ExampleSet
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.masks.source import MaskSource
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch, Prompts

#: Images encoded at a time.
BATCH_SIZE = 64
#: Training images whose features `fixed_features` keeps, a gigabyte of 1,280 values each.
MAX_FIXED = 200_000


class FeatureCache:
    """Features of `count` fixed augmented views of every training image, for every view of the method.

    Fixed views are another augmentation than new views in each epoch, so the cache is off by default.

    Raises:
        UserError: If features would change during training: with learned image tokens, or masks that change; or if the
            method needs a second view.
    """

    @torch.no_grad()
    def __init__(self, model: TunedModel, examples: ExampleSet, count: int, masks: MaskSource | None = None):
        if not model.fixed_image:
            raise UserError(
                "cached_views needs a text-only method, but this one learns image tokens; leave cached_views at 0"
            )
        if model.method.needs_second_view:
            raise UserError(
                "cached_views cannot be used with a method that trains on two views of each image; leave it at 0"
            )
        if masks is not None and masks.changes:
            raise UserError(
                "cached_views needs masks that do not change; leave it at 0, or use masks from the data or a folder"
            )
        device = model.backbone.logit_scale.device
        self.examples, self.count = examples, count
        self.labels = torch.tensor([e.label for e in examples.examples], device=device)
        self.features: list[dict[str, Tensor]] = []
        for view in range(count):
            rows = [
                model.encode_images(model.method.views(batch), Prompts())
                for batch in examples.in_order(BATCH_SIZE, device, epoch=view, masks=masks)
            ]
            self.features.append({name: torch.cat([row[name] for row in rows]) for name in rows[0]})

    def epoch_batches(
        self, epoch: int, batch_size: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        """The batches of `ExampleSet.epoch_batches`, with features `(b, d)` in place of images."""
        features = self.features[epoch % self.count]
        for positions in self.examples.order(epoch, batch_size, rank, world):
            index = to_device(torch.from_numpy(np.asarray(positions)), self.labels.device)
            views = {name: rows[index] for name, rows in features.items()}
            extras = self.examples.targets_and_weights(positions, index.device)
            yield (
                Batch(views["image"], self.labels[index], None, index, *extras, labelled=self.examples.labelled),
                views,
            )


@torch.no_grad()
def fixed_features(
    model: TunedModel, prompts: Prompts, examples: ExampleSet, training: TrainConfig, epochs: int
) -> Tensor | None:
    """Un-normalised features `(n, d)` of the training images, if these and the image tower are the same in each of
    several epochs; else None.

    They are computed in the order of the examples, so that a resumed training has the same.

    prompts: The learner's output, which shows what is learned.
    """
    method = model.method
    same = training.augment == "none" and prompts.fixed_image
    if not same or epochs < 2 or len(examples) > MAX_FIXED:
        return None
    if method.needs_tokens or method.needs_patches or method.needs_block_features:
        return None
    batches = examples.in_order(BATCH_SIZE, model.backbone.logit_scale.device)
    return torch.cat([model.backbone.encode_image(batch.images) for batch in batches])
