"""The user's own images in a split file: train, val and test lists of [path, label, name]."""

from __future__ import annotations

from pathlib import Path

from cliptune.data import split_file
from cliptune.data.config import DataConfig
from cliptune.data.custom.common.multi_label import warn_of_combined_names
from cliptune.data.dataset import Dataset
from cliptune.data.exists import missing_files
from cliptune.errors import UserError
from cliptune.text import listed
from cliptune.types import Example
from cliptune.user_warnings import warn_user


class Json(Dataset):
    """Images listed in a split file; paths start from its folder, or from `DataConfig.root`.

    Splits are those of the file, and "val" may be absent. Class names are used as they are.

    Raises:
        UserError: If the file is not a split file, has fewer than two classes or no test images, or images are missing.
    """

    def __init__(self, file: str | Path, config: DataConfig | None = None):
        config = config or DataConfig()
        self.file = Path(file).expanduser()
        if not self.file.is_file():
            raise UserError(
                f"{self.file} is a folder, not a split file; folders of classes are read by folder:{self.file}"
                if self.file.is_dir()
                else f"no file at {self.file}; check the path after json:"
            )
        self.name = self.file.stem
        self.root = Path(config.root).expanduser() if config.root else self.file.parent
        self.classnames, parts = split_file.read_split_file(
            self.file, self.root, fix="correct the file", optional=("train", "val")
        )
        if len(self.classnames) < 2:
            only = listed(sorted(self.classnames))
            raise UserError(f"{self.file} has one class only ({only}); classification needs at least two")
        warn_of_combined_names(self.classnames, str(self.file))
        if not parts["test"]:
            raise UserError(f"{self.file} lists no test images; correct the file")
        self._splits = self._drop_missing(parts, config.skip_bad)
        untrained = set(range(len(self.classnames))) - {e.label for e in self._splits["train"]}
        if untrained and self._splits["train"]:  # without any, it is a test set
            names = listed(sorted(self.classnames[label] for label in untrained))
            warn_user(f"no training images of {names} in {self.file}")
        untested = set(range(len(self.classnames))) - {e.label for e in self._splits["test"]}
        if untested:
            names = listed(sorted(self.classnames[label] for label in untested))
            warn_user(f"no test images of {names} in {self.file}: accuracy does not include them")

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Json:
        if not argument:
            raise UserError("json needs a file: --data json:FILE")
        return cls(argument, config)

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def _drop_missing(self, parts: dict[str, list[Example]], skip: bool) -> dict[str, list[Example]]:
        """The splits without missing images if they may be skipped; otherwise raises `UserError` for them."""
        keys = [e.key for examples in parts.values() for e in examples]
        missing = missing_files(self.root, keys)
        if not missing:
            return parts
        message = f"{len(missing)} of {len(keys)} images of {self.file} do not exist: {listed(sorted(missing), 3)}"
        if not skip:
            raise UserError(
                f"{message}; paths are relative to {self.root} (another folder: --root; skip them: --skip-bad)"
            )
        warn_user(f"{message}; ignored")
        missing_keys = set(missing)
        return {part: [e for e in examples if e.key not in missing_keys] for part, examples in parts.items()}
