"""Items of batches, read ahead in threads or in worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cliptune.errors import UserError

#: Batches that are read ahead of the one in use.
PREFETCH_BATCHES = 2
#: Image, mask, label and position of one example. Images are `(3, H, W)`, or `(6, H, W)` with a second view.
Item = tuple[Tensor, Tensor, int, int]


class Items(Dataset):
    """`count` items by position, from `read`.

    As a dataset for worker processes, an item is the text of a `UserError` if reading fails: an exception would arrive
    wrapped in its traceback.
    """

    def __init__(self, read: Callable[[int], Item], count: int):
        self.read, self.count = read, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Item | str:
        try:
            return self.read(i)
        except UserError as error:
            return str(error)

    def in_processes(self, batches: Sequence[Sequence[int]], workers: int, pin: bool = False) -> Iterator[list[Tensor]]:
        """Collated items of each batch of positions. Raises `UserError` if an item cannot be read.

        pin: Whether a thread moves them to pinned memory meanwhile (see `to_device`).
        """
        loader = DataLoader(
            self,
            num_workers=workers,
            collate_fn=collate,
            batch_sampler=batches,  # type: ignore[arg-type]
            pin_memory=pin,
        )
        for raw in loader:
            if isinstance(raw, str):
                raise UserError(raw)
            yield raw

    def in_threads(self, batches: Sequence[Sequence[int]], threads: int) -> Iterator[list[Tensor]]:
        """As `in_processes`, read `PREFETCH_BATCHES` ahead, as decoding and resizing release the interpreter lock."""
        if threads < 2:
            yield from (_stack([self.read(i) for i in chosen]) for chosen in batches)
            return
        pool = ThreadPoolExecutor(threads)
        try:
            waiting: deque[list[Future[Item]]] = deque()
            for chosen in batches:
                waiting.append([pool.submit(self.read, i) for i in chosen])
                if len(waiting) > PREFETCH_BATCHES:
                    yield _stack([item.result() for item in waiting.popleft()])
            while waiting:
                yield _stack([item.result() for item in waiting.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)


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
