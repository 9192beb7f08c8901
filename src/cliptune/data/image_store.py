"""Decoded images that are read once: mapped from the disk cache, or kept in memory while there is room."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from cliptune.backbones.preprocess import Preprocess
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_range
from cliptune.data.transforms import resize_with_pillow, shrink
from cliptune.types import DecodedImage, Example

#: Bytes of images and masks that are kept in memory because they are not mapped from disk. Beyond it they are read
#: again when needed.
MAX_MEMORY_BYTES = 2 << 30
#: Images mapped at a time: systems limit maps, Linux to 65530 per process.
MAX_MAPPED_FILES = 30_000


class ImageStore:
    """The decoded images of a dataset's examples.

    Args:
        keep: Keep images for the next access, in memory or as a map of a file. Otherwise only the disk cache makes the
            next access quick.
        shrink_to: Shrink larger images to the size of this preprocessing, with Pillow, as `evaluation_view` does.
    """

    def __init__(self, dataset: Dataset, keep: bool = True, shrink_to: Preprocess | None = None):
        self.dataset, self.shorter = dataset, dataset.reading.shrink
        self._size = None if shrink_to is None else (max(shrink_to.size), shrink_to.interpolation)
        self._mapped: dict[Hashable, DecodedImage] = {}
        self._in_memory: dict[Hashable, DecodedImage] = {}
        self._has_mask: dict[str, bool] = {}
        self._warned: set[str] = set()
        self._maps_left, self._bytes_left = (MAX_MAPPED_FILES, MAX_MEMORY_BYTES) if keep else (0, 0)

    def __getstate__(self) -> dict[str, Any]:
        """State for a worker process that is not forked: it maps files itself instead of being sent their content."""
        return {**self.__dict__, "_mapped": {}}

    def image(self, example: Example, check: bool = False) -> DecodedImage:
        """The example's image, shrunk if `DataConfig.shrink` is set. check: See `ImageFiles.load`."""
        image = self.prepared(example, "", lambda image: image, check)
        self._has_mask[example.key] = image.mask is not None
        return image

    def was_read(self, example: Example) -> bool:
        """Whether `image` returned the example before."""
        return example.key in self._has_mask

    def has_mask(self, example: Example) -> bool:
        """Whether reading the image yields a mask, such as transparency."""
        return self._has_mask[example.key] if self.was_read(example) else self.image(example).mask is not None

    def prepared(
        self, example: Example, kind: str, prepare: Callable[[DecodedImage], DecodedImage], check: bool = False
    ) -> DecodedImage:
        """`prepare(image)` of the example's image.

        Args:
            kind: Identifies `prepare`, which must depend on the image and on nothing else that `kind` does not name.
        """
        place = example.key, kind
        if place in self._mapped:
            return self._mapped[place]
        if place in self._in_memory:
            return self._in_memory[place]
        if not self.dataset.reads_files or example.path is None:
            return self.once(place, lambda: prepare(self._shrunk(self._read(example))))
        kind = f"{self.shorter}/{f'{self._size}/' if self._size else ''}{kind}"
        files = self.dataset.image_files
        image, where = files.load(example.path, kind, lambda image: prepare(self._shrunk(image)), check)
        if where == "mapped" and len(self._mapped) < self._maps_left:
            self._mapped[place] = image
        # A stored image is mapped the next time: the first use of a map is slow, and here are the pixels.
        return self.once(place, lambda: image) if where == "decoded" else image

    def once(self, place: Hashable, make: Callable[[], DecodedImage]) -> DecodedImage:
        """The image that `make` returns, stored in memory under `place` while there is room."""
        if place in self._in_memory:
            return self._in_memory[place]
        image = make()
        size = image.image.numel() + (0 if image.mask is None else image.mask.numel())
        if size <= self._bytes_left:
            self._in_memory[place] = image
            self._bytes_left -= size
        return image

    def _shrunk(self, image: DecodedImage) -> DecodedImage:
        image = shrink(image, self.shorter)
        return image if self._size is None else shrink(image, self._size[0], resize_with_pillow, self._size[1])

    def _read(self, example: Example) -> DecodedImage:
        """Read an example of a dataset that does not read files; warn once about each kind of assumed range."""
        with collect_assumed_ranges() as assumed:
            image = self.dataset.read(example)
        for name, assumption in assumed:
            if assumption not in self._warned:
                self._warned.add(assumption)
                warn_assumed_range(name, assumption)
        return image
