"""Features of a fixed image tower, computed once: what text-only methods train on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from cliptune.data.loader import ExampleSet
from cliptune.errors import UserError
from cliptune.masks.source import MaskSource
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch


class FeatureCache:
    """Features of `count` fixed augmented views of every training image, for every view of the method.

    A limited number of views is another sampling than drawing afresh each epoch, so this is a setting and off by
    default.
    Raises `UserError` where features do not stay: learned image tokens, or masks that change.
    """

    @torch.no_grad()
    def __init__(self, model: TunedModel, examples: ExampleSet, count: int, masks: MaskSource | None = None):
        prompts = model.learner()
        if not prompts.fixed_image:
            raise UserError(
                "cached_views needs a text-only method, but this one learns image tokens; leave cached_views at 0"
            )
        if masks is not None and masks.changes:
            raise UserError(
                "cached_views needs masks that stay the same; leave it at 0 or take masks from data or a folder"
            )
        device = model.backbone.logit_scale.device
        self.examples, self.count = examples, count
        self.labels = torch.tensor([e.label for e in examples.examples], device=device)
        self.features: list[dict[str, Tensor]] = []
        for view in range(count):
            rows = [
                model.encode_images(model.method.views(b), prompts)
                for b in examples.in_order(64, device, epoch=view, masks=masks)
            ]
            self.features.append({name: torch.cat([row[name] for row in rows]) for name in rows[0]})

    def epoch_batches(
        self, epoch: int, batch_size: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Batch, Mapping[str, Tensor]]]:
        """The batches `ExampleSet.epoch_batches` would give, as features `(b, d)`."""
        held = self.features[epoch % self.count]
        for index in self.examples.order(epoch, batch_size, rank, world):
            chosen = torch.from_numpy(np.asarray(index)).to(self.labels.device)
            views = {name: rows[chosen] for name, rows in held.items()}
            extras = self.examples.targets_and_weights(index, chosen.device)
            yield Batch(views["image"], self.labels[chosen], None, chosen, *extras), views
