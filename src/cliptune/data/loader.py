"""Batches of examples: images are read once, masked, and augmented from one random stream per example and epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.dataset import Dataset
from cliptune.data.image_store import ImageStore
from cliptune.data.items import Item, Items, Workers, to_device
from cliptune.data.targets import columns_of_targets, example_weights, multi_hot
from cliptune.data.transforms import (
    TrainingView,
    evaluation_view,
    resize_nearest,
    resize_with_pillow,
    squash,
    standardise,
)
from cliptune.types import NO_LABEL, Batch, DecodedImage, Example, Masks

#: Added to the epoch in the random stream of second views, which no epoch reaches.
SECOND_VIEW = 1 << 28


class ExampleSet:
    """Images of examples at the backbone's size. Immutable: the epoch and the masks are arguments of its methods.

    Args:
        dataset: Reads the examples.
        examples: The examples, in the order that positions `i` refer to.
        preprocess: Preprocessing of the backbone.
        augment: Training views, or None for the evaluation view.
        preset: Name of the training preset whose evaluation view is used (see `transforms.evaluation_view`).
        seed: Seed of order and augmentation. A view depends on the seed, the epoch and the example's position alone, so
            neither the number of workers nor an interruption changes it.
        keep: Keep images in memory, or mapped from the disk cache, for the next epoch.
        shrink: Shrink larger images to the backbone's size when they are read, as the evaluation view does.
        store: Store to read from, in place of a new one; `keep` and `shrink` are then ignored.
        second_view: Whether items and batches have a second, independently augmented view of each image. It also
            depends on the seed, the epoch and the example's position alone.
    """

    def __init__(
        self,
        dataset: Dataset,
        examples: Sequence[Example],
        preprocess: Preprocess,
        *,
        augment: TrainingView | None = None,
        preset: str = "crop",
        seed: int = 0,
        keep: bool = True,
        shrink: bool = False,
        store: ImageStore | None = None,
        second_view: bool = False,
    ):
        self.dataset, self.examples, self.preprocess = dataset, tuple(examples), preprocess
        self.augment, self.preset, self.seed = augment, preset, seed
        self.second_view = second_view
        self._columns, self.weights = columns_of_targets(self.examples), example_weights(self.examples)
        self.labelled = all(example.label != NO_LABEL for example in self.examples)
        self._store = store or ImageStore(dataset, keep, preprocess if shrink else None)

    def __len__(self) -> int:
        return len(self.examples)

    def image(self, i: int) -> DecodedImage:
        """The `i`-th image as read."""
        return self._store.image(self.examples[i])

    def view(self, i: int) -> Tensor:
        """The evaluation view of the `i`-th image, uint8 `(3, height, width)` of the backbone's size."""
        kind = f"{'squeezed' if self.preset == 'coop-2021' else 'evaluation'} {self.preprocess.pixels}"

        def make(image: DecodedImage) -> DecodedImage:
            return DecodedImage(evaluation_view(to_pil_image(image.image), self.preprocess, self.preset))

        return self._store.prepared(self.examples[i], kind, make).image

    def mask(self, i: int, masks: Masks) -> Tensor:
        """The `i`-th foreground mask, uint8 `(1, H, W)` of the image's size, 255 = foreground."""
        example, image = self.examples[i], self.image(i)
        if masks.changes:
            return masks.mask(example, image)
        return self._store.once((masks, "mask", example.key), lambda: DecodedImage(masks.mask(example, image))).image

    def training_view(self, i: int, epoch: int = 0, masks: Masks | None = None) -> tuple[Tensor, Tensor | None]:
        """Augmented views of the `i`-th image, uint8 `(3, height, width)`, and of its mask, `(1, height, width)`."""
        assert self.augment is not None
        image = DecodedImage(self.image(i).image, None if masks is None else self._stored_mask(i, masks))
        stream = np.random.Generator(np.random.Philox(key=[self.seed, (epoch << 32) + i]))
        # Values that are thresholded after resizing are resized as the release does it, to the bit.
        resize_mask = resize_with_pillow if masks is not None and masks.thresholds_views else resize_nearest
        view = self.augment(image, stream, resize_mask)
        return view.image, view.mask if masks is None or view.mask is None else masks.foreground(view.mask)

    def item(self, i: int, epoch: int = 0, masks: Masks | None = None) -> Item:
        """The `i`-th image, mask (of shape `(0,)` if there is none), label and position; the training view if the set
        augments."""
        image, mask = (self.view(i), None) if self.augment is None else self.training_view(i, epoch, masks)
        if self.second_view:
            second = self.view(i) if self.augment is None else self.training_view(i, epoch + SECOND_VIEW)[0]
            image = torch.cat([image, second])
        return image, torch.empty(0, dtype=torch.uint8) if mask is None else mask, self.examples[i].label, i

    def batch(self, raw: Sequence[Tensor], device: torch.device) -> Batch:
        """Normalised `Batch` on `device` from collated items."""
        image, mask, label, index = (to_device(part, device) for part in raw)
        masks = mask.float() / 255 if mask.numel() else None
        targets, weights = self.targets_and_weights(raw[3], device)
        views = [self._normalised(view) for view in image.split(3, 1)]
        second = views[1] if self.second_view else None
        return Batch(views[0], label, masks, index, targets, weights, self.labelled, second)

    def targets_and_weights(
        self, index: Tensor | list[int], device: torch.device
    ) -> tuple[Tensor | None, Tensor | None]:
        """Targets and weights of the examples at `index`, as a `Batch` has them."""
        targets = weights = None
        if self._columns is not None:
            targets = to_device(multi_hot([self.examples[i] for i in index], self._columns), device)
        if self.weights is not None:
            weights = to_device(self.weights[index], device)
        return targets, weights

    def order(self, epoch: int, batch_size: int, rank: int = 0, world: int = 1) -> list[list[int]]:
        """Positions in the batches of an epoch. The last incomplete batch is dropped unless it is the only one.

        The order depends on the seed and the epoch alone; process `rank` of `world` takes every `world`-th example.
        """
        shuffled = np.random.Generator(np.random.Philox(key=[self.seed, (1 << 62) + epoch])).permutation(len(self))
        mine = shuffled[: len(shuffled) // world * world][rank::world].tolist()
        batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        return batches[:-1] if len(batches) > 1 and len(batches[-1]) < batch_size else batches

    def epoch_batches(
        self,
        epoch: int,
        batch_size: int,
        device: torch.device,
        *,
        masks: Masks | None = None,
        workers: Workers | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """Shuffled batches of an epoch, in the order that `order` gives.

        Args:
            masks: Source of the foreground masks, or None for batches without masks.
            workers: Worker processes, which live on between epochs; None reads in threads of this process.
        """
        yield from self._loaded(self.order(epoch, batch_size, rank, world), device, workers, epoch, masks)

    def in_order(
        self,
        batch_size: int,
        device: torch.device,
        *,
        epoch: int = 0,
        masks: Masks | None = None,
        workers: Workers | None = None,
    ) -> Iterator[Batch]:
        """All examples once, in their order. epoch: selects the training views of a set that augments."""
        yield from self._loaded(self._consecutive(batch_size), device, workers, epoch, masks)

    def squashed_batches(self, batch_size: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Keys, whole images squashed to the backbone's size and normalised `(b, 3, height, width)`, and labels `(b,)`;
        saliency maps are computed from them, often repeatedly, so squashed images are kept."""
        items = Items(self._squashed)
        for images, _, labels, index in items.in_threads(self._consecutive(batch_size), self._threads):
            yield [self.examples[i].key for i in index.tolist()], self._normalised(images), labels

    def _squashed(self, i: int) -> Item:
        example = self.examples[i]
        squashed = self._store.once(
            (example.key, "squashed"), lambda: DecodedImage(squash(self.image(i).image, self.preprocess))
        )
        return squashed.image, torch.empty(0, dtype=torch.uint8), example.label, i

    def _consecutive(self, batch_size: int) -> list[list[int]]:
        """Positions in batches of all examples in their order."""
        positions = list(range(len(self)))
        return [positions[start : start + batch_size] for start in range(0, len(positions), batch_size)]

    @property
    def _threads(self) -> int:
        """Threads that read; a dataset's own code need not be safe for use from several."""
        return torch.get_num_threads() if self.dataset.reads_files else 1

    def _stored_mask(self, i: int, masks: Masks) -> Tensor:
        """The `i`-th mask as training views crop it, before any threshold, uint8 `(1, H, W)`."""
        if not masks.thresholds_views:
            return self.mask(i, masks)
        example, image = self.examples[i], self.image(i)
        place = masks, "stored", example.key
        return self._store.once(place, lambda: DecodedImage(masks.stored(example, image))).image

    def _normalised(self, images: Tensor) -> Tensor:
        return standardise(images, self.preprocess.mean, self.preprocess.std)

    def _loaded(
        self,
        batches: Sequence[Sequence[int]],
        device: torch.device,
        workers: Workers | None,
        epoch: int,
        masks: Masks | None,
    ) -> Iterator[Batch]:
        items = Items(partial(_item, self, masks), self, masks)
        keys = [[(i, epoch) for i in batch] for batch in batches]
        for raw in items.in_threads(keys, self._threads) if workers is None else workers.read(items, keys):
            yield self.batch(raw, device)


def _item(examples: ExampleSet, masks: Masks | None, key: tuple[int, int]) -> Item:
    """The item of a position and an epoch."""
    return examples.item(*key, masks)
