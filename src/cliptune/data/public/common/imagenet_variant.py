"""Test sets made after ImageNet: a folder of pictures a class, nothing to train on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.spec import DatasetSpec, locate
from cliptune.data.public.common.wnids import list_class_folders, read_classnames, wnids
from cliptune.errors import UserError
from cliptune.types import Example


class ImageNetVariant(Dataset):
    """What is trained on ImageNet is tested on it; a leaf gives its `card`.

    subset: which of ImageNet's classes there are ("" all). numbered: folders are called 0, 1, ... by label, not by
    WordNet id. Raises `UserError` where classes are missing.
    """

    card: ClassVar[DatasetSpec]
    subset: ClassVar[str] = ""
    numbered: ClassVar[bool] = False

    def __init__(self, root: str | Path, reading: DataConfig | None = None):
        self.reading = reading or DataConfig()
        self.name, self.templates = self.card.name, self.card.templates
        self.place = locate(self.card, Path(root))
        ids = wnids(self.subset)
        self.classnames = read_classnames(ids, (self.place.home, Path(root) / "imagenet"))
        folders = [str(label) for label in range(len(ids))] if self.numbered else ids
        found = list_class_folders(self.place.images, folders, self.card.title, f"copy it anew ({self.card.source})")
        self._test = [
            Example(f"{folder}/{file}", label, self.place.images / folder / file)
            for label, (folder, files) in enumerate(zip(folders, found, strict=True))
            for file in files
        ]

    @classmethod
    def from_spec(cls, argument: str, reading: DataConfig) -> ImageNetVariant:
        if argument:
            raise UserError(f"{cls.card.name} takes nothing after a colon, got {argument!r}; say where with --root")
        return cls(reading.folder(cls.card.name), reading)

    def examples(self, split: str) -> list[Example]:
        """Pictures to test on, by class, file names sorted; "train" and "val" are empty."""
        return self._test if split == "test" else []
