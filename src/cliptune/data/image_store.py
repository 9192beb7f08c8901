"""Pictures read once: mapped from the cache on disk where that may be, else kept in memory while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import disk_cache
from cliptune.data.dataset import Dataset
from cliptune.data.range_warnings import collect_assumed_ranges, warn_assumed_range
from cliptune.data.transforms import resize_with_pillow, shrink
from cliptune.types import DecodedImage, Example

#: Pictures that are not mapped from disk, and masks, are kept in memory up to this many bytes; beyond it they are read
#: again.
MAX_MEMORY_BYTES = 2 << 30
#: Pictures mapped at a time: systems limit maps, Linux to 65530 a process.
MAX_MAPPED_FILES = 30_000


class ImageStore:
    """What examples of a dataset show.

    keep: hold what is read for the next time, if only as a map of the disk. shrink: the preparation to whose size
    larger images are shrunk, by Pillow as `evaluation` does.
    """

    def __init__(self, dataset: Dataset, keep: bool = True, shrink: Preprocess | None = None):
        self.dataset, self.shorter = dataset, dataset.reading.shrink
        self.seen = None if shrink is None else (max(shrink.size), shrink.interpolation)
        # Only of files that are read as they are is it known what decides the pixels.
        self.files = type(dataset).read is Dataset.read
        self._store = disk_cache.user_cache() if self.files and dataset.reading.cache else None
        self._mapped: dict[Hashable, DecodedImage] = {}
        self._kept: dict[Hashable, DecodedImage] = {}
        self._said: set[str] = set()
        self._maps, self._room = (MAX_MAPPED_FILES, MAX_MEMORY_BYTES) if keep else (0, 0)

    def __getstate__(self) -> dict[str, Any]:
        """For a worker that is not forked: it maps files anew, instead of being sent their content."""
        return {**self.__dict__, "_mapped": {}}

    def image(self, example: Example) -> DecodedImage:
        """The example as read, shrunk if that is asked for."""
        return self.file(example, "", lambda picture: picture)

    def file(self, example: Example, kind: str, make: Callable[[DecodedImage], DecodedImage]) -> DecodedImage:
        """What `make` makes of a picture, which depends on the picture and the name `kind` alone."""
        place = example.key, kind

        def fresh() -> DecodedImage:
            with collect_assumed_ranges() as assumed:
                picture = self.dataset.read(example)
            # Of files, `sound` says it once for all.
            for name, said in assumed if not self.files else ():
                if said not in self._said:
                    self._said.add(said)
                    warn_assumed_range(name, said)
            picture = shrink(picture, self.shorter)
            return make(
                picture if self.seen is None else shrink(picture, self.seen[0], resize_with_pillow, self.seen[1])
            )

        if place in self._mapped:
            return self._mapped[place]
        if self._store is None or example.path is None or place in self._kept:
            return self.once(place, fresh)
        whole = f"{self.shorter}/{f'{self.seen}/' if self.seen else ''}{kind}"
        try:
            key = disk_cache.cache_key(example.path, whole)
        except OSError:
            return fresh()  # which says what is wrong with the file
        found = self._store.get(key)
        if found is None:
            picture = fresh()
            # Mapped the next time: a map's first use is slow, and the picture is here.
            stored = key == disk_cache.cache_key(example.path, whole) and self._store.put(key, picture)
            return picture if stored else self.once(place, lambda: picture)
        if len(self._mapped) < self._maps:
            self._mapped[place] = found
        return found

    def once(self, place: Hashable, make: Callable[[], DecodedImage]) -> DecodedImage:
        """What `make` returns, kept in memory under `place` while there is room."""
        if place in self._kept:
            return self._kept[place]
        picture = make()
        size = picture.image.numel() + (0 if picture.mask is None else picture.mask.numel())
        if size <= self._room:
            self._kept[place] = picture
            self._room -= size
        return picture
