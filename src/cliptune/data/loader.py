"""Examples to batches: read once, masked, augmented from per-example random streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.data.dataset import Dataset
from cliptune.data.targets import multi_hot
from cliptune.data.transforms import Augment, evaluation, normalise, to_square
from cliptune.types import Batch, Example, Picture

if TYPE_CHECKING:
    from cliptune.masks.base import MaskSource

#: Read pictures are kept in memory up to this many bytes; beyond it they are read again.
MEMORY = 2 << 30


class ExampleSet(torch.utils.data.Dataset):
    """Pictures of some examples at the model's size, with their masks where a source is given.

    Args: mean, std: of the model. masks: source of foregrounds or None. augment: training views, or None for
    evaluation's.
        seed: of the augmentation; a view depends on seed, epoch and the example's position alone, so that neither the
        number of
        workers nor an interruption changes it.
    """

    def __init__(
        self,
        dataset: Dataset,
        examples: Sequence[Example],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        masks: MaskSource | None = None,
        augment: Augment | None = None,
        seed: int = 0,
    ):
        self.dataset, self.examples, self.size, self.mean, self.std = dataset, list(examples), size, mean, std
        self.masks, self.augment, self.seed, self.epoch = masks, augment, seed, 0
        self.targets = multi_hot(self.examples)
        self._kept: dict[int, Picture] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.examples)

    def picture(self, i: int) -> Picture:
        """The `i`-th picture as read."""
        if i in self._kept:
            return self._kept[i]
        picture = self.dataset.read(self.examples[i])
        size = picture.image.numel() + (0 if picture.mask is None else picture.mask.numel())
        if self._bytes + size <= MEMORY:
            self._kept[i] = picture
            self._bytes += size
        return picture

    def mask(self, i: int) -> Tensor:
        """The `i`-th foreground, uint8 `(1, H, W)`, from the source."""
        assert self.masks is not None
        return self.masks.mask(self.examples[i], self.picture(i))

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, int, int]:
        """uint8 image `(3, size, size)`, uint8 mask `(1, size, size)` or `(0,)`, label, position."""
        picture = self.picture(i)
        mask = None if self.masks is None else self.masks.mask(self.examples[i], picture)
        if self.augment is None:
            image = evaluation(to_pil_image(picture.image), self.size)
        else:
            stream = np.random.Generator(np.random.Philox(key=[self.seed, (self.epoch << 32) + i]))
            view = self.augment(Picture(picture.image, mask), stream)
            image, mask = view.image, view.mask
        return image, torch.empty(0, dtype=torch.uint8) if mask is None else mask, self.examples[i].label, i

    def batch(self, raw: Sequence[Tensor], device: torch.device) -> Batch:
        """Collated items -> a normalised `Batch` on `device`."""
        image, mask, label, index = (part.to(device, non_blocking=True) for part in raw)
        masks = None if self.masks is None or self.augment is None else mask.float() / 255
        targets = None if self.targets is None else self.targets[raw[3]].to(device)
        return Batch(normalise(image, self.mean, self.std), label, masks, index, targets)

    def order(self, epoch: int, batch_size: int, rank: int = 0, world: int = 1) -> list[list[int]]:
        """Positions in the batches of an epoch; the last incomplete batch is dropped if there is a full one.

        The order depends on seed and epoch alone; process `rank` of `world` takes every `world`-th example.
        """
        shuffled = np.random.Generator(np.random.Philox(key=[self.seed, (1 << 62) + epoch])).permutation(len(self))
        mine = shuffled[: len(shuffled) // world * world][rank::world].tolist()
        batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        return batches[:-1] if len(batches) > 1 and len(batches[-1]) < batch_size else batches

    def epoch_batches(
        self, epoch: int, batch_size: int, device: torch.device, *, workers: int = 0, rank: int = 0, world: int = 1
    ) -> Iterator[Batch]:
        """Shuffled training batches of an epoch, in the order that `order` gives."""
        self.epoch = epoch
        for raw in DataLoader(self, batch_sampler=self.order(epoch, batch_size, rank, world), num_workers=workers):
            yield self.batch(raw, device)

    def in_order(self, batch_size: int, device: torch.device, *, workers: int = 0) -> Iterator[Batch]:
        """All examples once, in their order."""
        for raw in DataLoader(self, batch_size, num_workers=workers):
            yield self.batch(raw, device)

    def whole(self, batch_size: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Keys, normalised whole pictures `(b, 3, size, size)` squeezed to a square, and labels: what Grad-CAM looks
        at."""
        for start in range(0, len(self), batch_size):
            chosen = range(start, min(start + batch_size, len(self)))
            images = torch.stack([to_square(self.picture(i).image, self.size) for i in chosen])
            labels = torch.tensor([self.examples[i].label for i in chosen])
            yield [self.examples[i].key for i in chosen], normalise(images, self.mean, self.std), labels
