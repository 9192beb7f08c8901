"""Examples to batches: read once, masked, augmented from per-example random streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate
from torchvision.transforms.v2.functional import to_pil_image

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.dataset import Dataset
from cliptune.data.image_store import ImageStore
from cliptune.data.targets import multi_hot
from cliptune.data.transforms import (
    TrainingView,
    evaluation_view,
    normalise,
    resize_nearest,
    resize_with_pillow,
    squash,
)
from cliptune.errors import UserError
from cliptune.types import Batch, DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.masks.source import MaskSource

#: Batches that are being read while one is used.
PREFETCH_BATCHES = 2
#: Image, mask, label, position.
Item = tuple[Tensor, Tensor, int, int]


class ExampleSet(torch.utils.data.Dataset):
    """Pictures of some examples at the model's size, with their masks where a source is given.

    Args: preprocess: of the backbone. masks: source of foregrounds or None. augment: training views, or None for
    evaluation's, of the training preset `preset`. keep: what is read, for the next time. shrink: larger images to the
    size that the model sees, as evaluation does.
        seed: of the augmentation; a view depends on seed, epoch and the example's position alone, so that neither the
        number of workers nor an interruption changes it.
    """

    def __init__(
        self,
        dataset: Dataset,
        examples: Sequence[Example],
        preprocess: Preprocess,
        *,
        masks: MaskSource | None = None,
        augment: TrainingView | None = None,
        preset: str = "crop",
        seed: int = 0,
        keep: bool = True,
        shrink: bool = False,
    ):
        self.dataset, self.examples, self.preprocess = dataset, list(examples), preprocess
        self.masks, self.augment, self.preset, self.seed, self.epoch = masks, augment, preset, seed, 0
        self.targets, self.weights = multi_hot(self.examples), example_weights(self.examples)
        self._reader = ImageStore(dataset, keep, preprocess if shrink else None)

    def __len__(self) -> int:
        return len(self.examples)

    def picture(self, i: int) -> DecodedImage:
        """The `i`-th picture as read."""
        return self._reader.picture(self.examples[i])

    def view(self, i: int) -> Tensor:
        """The `i`-th picture's evaluation view, uint8 `(3, height, width)` of the backbone's size."""
        kind = f"{'squeezed' if self.preset == 'coop-2021' else 'evaluation'} {self.preprocess.pixels}"

        def make(picture: DecodedImage) -> DecodedImage:
            return DecodedImage(evaluation_view(to_pil_image(picture.image), self.preprocess, self.preset))

        return self._reader.file(self.examples[i], kind, make).image

    def mask(self, i: int) -> Tensor:
        """The `i`-th foreground, uint8 `(1, H, W)`, from the source."""
        source, example, picture = self.masks, self.examples[i], self.picture(i)
        assert source is not None
        if source.changes:
            return source.mask(example, picture)
        return self._reader.once(("mask", example.key), lambda: DecodedImage(source.mask(example, picture))).image

    def stored(self, i: int) -> Tensor:
        """What views cut the `i`-th foreground from, uint8 `(1, H, W)`."""
        source, example, picture = self.masks, self.examples[i], self.picture(i)
        assert source is not None
        if not source.thresholds_views:
            return self.mask(i)
        return self._reader.once(("stored", example.key), lambda: DecodedImage(source.stored(example, picture))).image

    def __getitem__(self, i: int) -> Item:
        """uint8 image `(3, height, width)`, uint8 mask `(1, height, width)` or `(0,)`, label, position."""
        if self.augment is None:
            image, mask = self.view(i), None
        else:
            source = self.masks
            picture = DecodedImage(self.picture(i).image, None if source is None else self.stored(i))
            stream = np.random.Generator(np.random.Philox(key=[self.seed, (self.epoch << 32) + i]))
            # Numbers that are thresholded afterwards are resized as the release does it, to the bit.
            view = self.augment(
                picture, stream, resize_with_pillow if source and source.thresholds_views else resize_nearest
            )
            image, mask = view.image, view.mask
            mask = mask if source is None or mask is None else source.foreground(mask)
        return image, torch.empty(0, dtype=torch.uint8) if mask is None else mask, self.examples[i].label, i

    def batch(self, raw: Sequence[Tensor], device: torch.device) -> Batch:
        """Collated items -> a normalised `Batch` on `device`."""
        image, mask, label, index = (part.to(device, non_blocking=True) for part in raw)
        masks = None if self.masks is None or self.augment is None else mask.float() / 255
        return Batch(self._normalised(image), label, masks, index, *self.extras(raw[3], device))

    def extras(self, index: Tensor | list[int], device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """Targets and weights of a `Batch` of the examples at `index`."""
        targets, weights = (None if held is None else held[index].to(device) for held in (self.targets, self.weights))
        return targets, weights

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
        yield from self._loaded(self.order(epoch, batch_size, rank, world), device, workers)

    def in_order(self, batch_size: int, device: torch.device, *, workers: int = 0) -> Iterator[Batch]:
        """All examples once, in their order."""
        places = list(range(len(self)))
        batches = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
        yield from self._loaded(batches, device, workers)

    def whole(self, batch_size: int) -> Iterator[tuple[list[str], Tensor, Tensor]]:
        """Keys, normalised whole pictures `(b, 3, height, width)` squeezed to the backbone's size, and labels: what
        Grad-CAM looks at."""
        for start in range(0, len(self), batch_size):
            chosen = range(start, min(start + batch_size, len(self)))
            images = torch.stack([squash(self.picture(i).image, self.preprocess) for i in chosen])
            labels = torch.tensor([self.examples[i].label for i in chosen])
            yield [self.examples[i].key for i in chosen], self._normalised(images), labels

    def _normalised(self, images: Tensor) -> Tensor:
        return normalise(images, self.preprocess.mean, self.preprocess.std)

    def _loaded(self, batches: Sequence[Sequence[int]], device: torch.device, workers: int) -> Iterator[Batch]:
        if not workers:
            raws = (collate(items) for items in self._fetched(batches))
        else:
            raws = DataLoader(_ErrorsAsText(self), num_workers=workers, collate_fn=collate, batch_sampler=batches)  # type: ignore[arg-type]
        for raw in raws:
            if isinstance(raw, str):
                raise UserError(raw)
            yield self.batch(raw, device)

    def _fetched(self, batches: Sequence[Sequence[int]]) -> Iterator[list[Item]]:
        """The items of each batch. Files are read by as many threads as compute, `AHEAD` batches before they are asked
        for: decoding and resizing leave the interpreter free."""
        threads = torch.get_num_threads() if self._reader.files else 1
        if threads < 2:
            yield from ([self[i] for i in chosen] for chosen in batches)
            return
        pool = ThreadPoolExecutor(threads)
        try:
            waiting: deque[list[Future[Item]]] = deque()
            for chosen in batches:
                waiting.append([pool.submit(self.__getitem__, i) for i in chosen])
                if len(waiting) > PREFETCH_BATCHES:
                    yield [item.result() for item in waiting.popleft()]
            while waiting:
                yield [item.result() for item in waiting.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


class _ErrorsAsText(torch.utils.data.Dataset):
    """Items, or what a `UserError` said: as an exception, a worker's would come wrapped in its traceback."""

    def __init__(self, examples: ExampleSet):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Item | str:
        try:
            return self.examples[i]
        except UserError as error:
            return str(error)


def example_weights(examples: Sequence[Example]) -> Tensor | None:
    """float32 `(n,)`, 1 on average, of examples that do not all weigh the same; None of others."""
    held = torch.tensor([e.weight for e in examples], dtype=torch.float64)
    return None if not len(held) or bool((held == held[0]).all()) else (held / held.mean()).float()


def collate(items: Sequence[Item | str]) -> list[Tensor] | str:
    """Items to a batch, or what went wrong with one. Images keep their channels last in memory, as resizing leaves
    them, until they are normalised."""
    held = [item for item in items if not isinstance(item, str)]
    if len(held) < len(items):
        return next(item for item in items if isinstance(item, str))
    images, *rest = zip(*held, strict=True)
    stacked = torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
    return [stacked, *(default_collate(list(part)) for part in rest)]
