"""Pictures read once: mapped from the cache on disk where that may be, else kept in memory while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from cliptune.backbones.preprocess import Preprocess
from cliptune.data import cache
from cliptune.data.assumed import assume, assuming
from cliptune.data.dataset import Dataset
from cliptune.data.transforms import by_pillow, shrunk
from cliptune.types import Example, Picture

#: Pictures that are not mapped from disk, and masks, are kept in memory up to this many bytes; beyond it they are read
#: again.
MEMORY = 2 << 30
#: Pictures mapped at a time: systems limit maps, Linux to 65530 a process.
MAPPED = 30_000


class Reader:
    """What examples of a dataset show.

    keep: hold what is read for the next time, if only as a map of the disk. shrink: the preparation to whose size
    larger images are shrunk, by Pillow as `evaluation` does.
    """

    def __init__(self, dataset: Dataset, keep: bool = True, shrink: Preprocess | None = None):
        self.dataset, self.shorter = dataset, dataset.reading.shrink
        self.seen = None if shrink is None else (max(shrink.size), shrink.interpolation)
        # Only of files that are read as they are is it known what decides the pixels.
        self.files = type(dataset).read is Dataset.read
        self._store = cache.store() if self.files and dataset.reading.cache else None
        self._mapped: dict[Hashable, Picture] = {}
        self._kept: dict[Hashable, Picture] = {}
        self._said: set[str] = set()
        self._maps, self._room = (MAPPED, MEMORY) if keep else (0, 0)

    def __getstate__(self) -> dict[str, Any]:
        """For a worker that is not forked: it maps files anew, instead of being sent their content."""
        return {**self.__dict__, "_mapped": {}}

    def picture(self, example: Example) -> Picture:
        """The example as read, shrunk if that is asked for."""
        return self.file(example, "", lambda picture: picture)

    def file(self, example: Example, kind: str, make: Callable[[Picture], Picture]) -> Picture:
        """What `make` makes of a picture, which depends on the picture and the name `kind` alone."""
        place = example.key, kind

        def fresh() -> Picture:
            with assuming() as assumed:
                picture = self.dataset.read(example)
            # Of files, `sound` says it once for all.
            for name, said in assumed if not self.files else ():
                if said not in self._said:
                    self._said.add(said)
                    assume(name, said)
            picture = shrunk(picture, self.shorter)
            return make(picture if self.seen is None else shrunk(picture, self.seen[0], by_pillow, self.seen[1]))

        if place in self._mapped:
            return self._mapped[place]
        if self._store is None or example.path is None or place in self._kept:
            return self.once(place, fresh)
        whole = f"{self.shorter}/{f'{self.seen}/' if self.seen else ''}{kind}"
        try:
            key = cache.key_of(example.path, whole)
        except OSError:
            return fresh()  # which says what is wrong with the file
        found = self._store.get(key)
        if found is None:
            picture = fresh()
            # Mapped the next time: a map's first use is slow, and the picture is here.
            stored = key == cache.key_of(example.path, whole) and self._store.put(key, picture)
            return picture if stored else self.once(place, lambda: picture)
        if len(self._mapped) < self._maps:
            self._mapped[place] = found
        return found

    def once(self, place: Hashable, make: Callable[[], Picture]) -> Picture:
        """What `make` returns, kept in memory under `place` while there is room."""
        if place in self._kept:
            return self._kept[place]
        picture = make()
        size = picture.image.numel() + (0 if picture.mask is None else picture.mask.numel())
        if size <= self._room:
            self._kept[place] = picture
            self._room -= size
        return picture
