"""Items of batches, read ahead in threads or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cliptune.errors import UserError

#: Batches that are read ahead of the one in use.
PREFETCH_BATCHES = 2
#: Image, mask, label and position of one example. Images are `(3, H, W)`, or `(6, H, W)` with a second view.
Item = tuple[Tensor, Tensor, int, int]
Key = Any
Batches = Sequence[Sequence[Key]]


class Items(Dataset):
    """Items by key, such as a position and an epoch, from `read`.

    As a dataset for worker processes, an item is the text of a `UserError` if reading fails: an exception would arrive
    wrapped in its traceback.

    Args:
        read: Returns the item of a key. Pickled for worker processes where they are not forked.
        sources: The objects that `read` reads from.
    """

    def __init__(self, read: Callable[[Key], Item], *sources: object):
        self.read, self.sources = read, sources

    def __getitem__(self, key: Key) -> Item | str:
        try:
            return self.read(key)
        except UserError as error:
            return str(error)

    def in_threads(self, batches: Batches, threads: int) -> Iterator[list[Tensor]]:
        """Collated items of each batch of keys, read `PREFETCH_BATCHES` ahead, as decoding and resizing release the
        interpreter lock."""
        if threads < 2:
            yield from (_stack([self.read(key) for key in chosen]) for chosen in batches)
            return
        pool = ThreadPoolExecutor(threads)
        try:
            waiting: deque[list[Future[Item]]] = deque()
            for chosen in batches:
                waiting.append([pool.submit(self.read, key) for key in chosen])
                if len(waiting) > PREFETCH_BATCHES:
                    yield _stack([item.result() for item in waiting.popleft()])
            while waiting:
                yield _stack([item.result() for item in waiting.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)


class Workers:
    """Worker processes that read items. They live from epoch to epoch while the items have the same sources, and end
    with this object.

    Args:
        count: Number of processes.
        pin: Whether a thread moves items to pinned memory meanwhile (see `to_device`).
    """

    def __init__(self, count: int, pin: bool = False):
        self.count, self.pin = count, pin
        self._batches: list[list[Key]] = []
        self._loader: DataLoader | None = None

    def read(self, items: Items, batches: Batches) -> Iterator[list[Tensor]]:
        """Collated items of each batch of keys. Raises `UserError` if an item cannot be read."""
        self._batches[:] = map(list, batches)
        if self._loader is None or not _same(self._loader.dataset.sources, items.sources):  # type: ignore[attr-defined]
            self._loader = DataLoader(
                items,
                num_workers=self.count,
                collate_fn=collate,
                batch_sampler=self._batches,
                pin_memory=self.pin,
                persistent_workers=True,
            )
        for raw in self._loader:
            if isinstance(raw, str):
                raise UserError(raw)
            yield raw


def workers_for(count: int, device: torch.device) -> Workers | None:
    """`count` processes for batches on `device`; None for 0, which is to read in threads."""
    return Workers(count, device.type == "cuda") if count else None


def _same(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copy to `device`; to a GPU from pinned memory, so that the copy does not wait for the work in progress there."""
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def collate(items: Sequence[Item | str]) -> list[Tensor] | str:
    """A batch of items, or the first error text among them."""
    read = [item for item in items if not isinstance(item, str)]
    return _stack(read) if len(read) == len(items) else next(item for item in items if isinstance(item, str))


def _stack(items: Sequence[Item]) -> list[Tensor]:
    """A batch of items. Images keep the memory layout of resizing, channels last, until they are normalised."""
    images, *rest = zip(*items, strict=True)
    stacked = torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
    return [stacked, *(default_collate(list(part)) for part in rest)]
