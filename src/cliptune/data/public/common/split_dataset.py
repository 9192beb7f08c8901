"""Public datasets whose pictures and class names a split file lists."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.exists import missing_files
from cliptune.data.public.common import split_file
from cliptune.data.public.common.spec import DatasetLocation, DatasetSpec, locate, spec_mismatches
from cliptune.errors import UserError
from cliptune.types import Example


class SplitDataset(Dataset):
    """A dataset of the CoOp collection; a leaf gives its `card`, and `listed` where it has lists of its own.

    Raises `UserError` for a dataset that is not there as a whole; warns of a split that is not the published one.
    """

    card: ClassVar[DatasetSpec]

    def __init__(self, root: str | Path, reading: DataConfig | None = None):
        self.reading = reading or DataConfig()
        self.draws = self.reading.draws
        self.name, self.templates = self.card.name, self.card.templates
        self.place = locate(self.card, Path(root))
        self.classnames, self._parts = self.listed(self.place)
        self._check()

    @classmethod
    def from_spec(cls, argument: str, reading: DataConfig) -> SplitDataset:
        if argument:
            raise UserError(f"{cls.card.name} takes nothing after a colon, got {argument!r}; say where with --root")
        return cls(reading.folder(cls.card.name), reading)

    @classmethod
    def listed(cls, place: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        """Class names by label, and the examples of "train", "val" and "test"."""
        assert place.split is not None
        return split_file.read_split_file(place.split, place.images)

    def examples(self, split: str) -> list[Example]:
        return self._parts[split]

    def _check(self) -> None:
        """Whether this is the published dataset, and all of it."""
        keys = [e.key for part in self._parts.values() for e in part]
        lost = missing_files(self.place.images, keys)
        if lost and not self.reading.skip_bad:
            raise UserError(
                f"{len(lost)} of the {len(keys)} pictures of {self.card.title} are not under {self.place.images}, "
                f"such as {', '.join(lost[:3])}; unpack the pictures again ({self.card.source})"
            )
        told = spec_mismatches(
            self.card, self.place.split, self.classnames, [len(part) for part in self._parts.values()]
        )
        if told:
            warnings.warn(
                f"{self.place.split or self.place.home} is not the published split of {self.card.title} "
                f"({'; '.join(told)}): numbers do not compare with published ones",
                stacklevel=4,
            )
