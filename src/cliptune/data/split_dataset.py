"""Public datasets whose pictures and class names a split file lists."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cliptune.data import splits
from cliptune.data.card import Card, locate
from cliptune.data.dataset import Dataset
from cliptune.data.pictures import read_picture
from cliptune.data.settings import Reading
from cliptune.errors import UserError
from cliptune.types import Example, Picture


class SplitDataset(Dataset):
    """A dataset of the CoOp collection; a leaf gives its `card` and nothing else."""

    card: ClassVar[Card]

    def __init__(self, root: str | Path, reading: Reading | None = None):
        self.reading = reading or Reading()
        self.name, self.templates = self.card.name, self.card.templates
        self.place = locate(self.card, Path(root))
        assert self.place.split is not None
        self.classnames, self._parts = splits.read(self.place.split, self.place.images)

    @classmethod
    def from_spec(cls, argument: str, reading: Reading) -> SplitDataset:
        if argument:
            raise UserError(f"{cls.card.name} takes nothing after a colon, got {argument!r}; say where with --root")
        return cls(reading.folder(cls.card.name), reading)

    def examples(self, split: str) -> list[Example]:
        return self._parts[split]

    def read(self, example: Example) -> Picture:
        assert example.path is not None
        return read_picture(example.path)
