"""Public datasets whose images and class names are listed in a split file."""

from __future__ import annotations

from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.exists import missing_files
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.spec import DatasetLocation, spec_mismatches
from cliptune.data.split_file import read_split_file
from cliptune.errors import UserError
from cliptune.types import Example
from cliptune.user_warnings import warn_user


class SplitDataset(PublicDataset):
    """A dataset of the CoOp benchmark. Subclasses set `spec`, and override `read_split` if they have own lists.

    Warns if the split is not the published one.

    Raises:
        UserError: If the dataset is not found, or images are missing.
    """

    def __init__(self, root: str | Path, config: DataConfig | None = None):
        super().__init__(root, config)
        self.classnames, self._splits = self.read_split(self.location)
        self._check_complete()

    @classmethod
    def read_split(cls, location: DatasetLocation) -> tuple[tuple[str, ...], dict[str, list[Example]]]:
        """Read class names by label, and the examples of "train", "val" and "test"."""
        assert location.split_file is not None
        return read_split_file(location.split_file, location.images)

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def _check_complete(self) -> None:
        """Raise `UserError` for missing images, and warn if the split is not the published one."""
        keys = [e.key for examples in self._splits.values() for e in examples]
        missing = missing_files(self.location.images, keys)
        if missing and not self.reading.skip_bad:
            raise UserError(
                f"{len(missing)} of the {len(keys)} images of {self.spec.title} are not under {self.location.images}, "
                f"such as {', '.join(missing[:3])}; unpack the images again ({self.spec.source})"
            )
        sizes = [len(examples) for examples in self._splits.values()]
        mismatches = spec_mismatches(self.spec, self.location.split_file, self.classnames, sizes)
        if mismatches:
            warn_user(
                f"{self.location.split_file or self.location.home} is not the published split of {self.spec.title} "
                f"({'; '.join(mismatches)}): results do not compare with published ones"
            )
