"""Base class of the public datasets."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from cliptune.data.config import DataConfig
from cliptune.data.dataset import Dataset
from cliptune.data.public.common.spec import DatasetSpec, locate
from cliptune.errors import UserError


class PublicDataset(Dataset):
    """A dataset with a `DatasetSpec`, located under `root`.

    Raises:
        UserError: If it is not found there, or without its split.
    """

    is_public = True
    spec: ClassVar[DatasetSpec]

    def __init__(self, root: str | Path, config: DataConfig | None = None):
        self.reading = config or DataConfig()
        self.draws = self.reading.draws
        self.name, self.templates = self.spec.name, self.spec.templates
        self.location = locate(self.spec, Path(root))

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Self:
        if argument:
            raise UserError(f"{cls.spec.name} takes nothing after the colon, got {argument!r}; set --root instead")
        return cls(config.folder(cls.spec.name), config)
