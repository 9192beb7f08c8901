"""The user's own images: one folder per class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from cliptune.data.config import DataConfig
from cliptune.data.custom.common.build import CustomDataset, build_splits
from cliptune.data.custom.common.class_folders import (
    check_folder_depth,
    class_folders,
    drop_mask_folders,
    split_folders,
    warn_of_loose_images,
)
from cliptune.data.custom.common.multi_label import warn_of_combined_names
from cliptune.data.custom.common.walk import find_images, skipped_files_message
from cliptune.errors import UserError
from cliptune.types import Example
from cliptune.user_warnings import warn_user


class Folder(CustomDataset):
    """Images in `root/<class>/`, at any depth, or in `root/{train,val,test}/<class>/`.

    Without those folders each class is split reproducibly into 50 % training, 20 % validation and 30 % test images; if
    there is only a training folder, the others take their shares from it. Class names are folder names made readable
    ("red_fox" -> "red fox", "RedFox" -> "Red Fox").

    Raises:
        UserError: If there are no class folders with images, or fewer than two classes.
    """

    def __init__(self, root: str | Path, raw_names: bool = False):
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(_not_a_folder_message(self.root))
        self.name = self.root.resolve().name or str(self.root)
        homes = split_folders(self.root) or {"train": self.root}
        folders = class_folders(homes)
        classes = drop_mask_folders(list(folders), homes["train"])
        foreign: Counter[str] = Counter()
        files = {
            part: {name: find_images(folders[name][part], foreign) for name in classes if part in folders[name]}
            for part in homes
        }
        if foreign:
            warn_user(skipped_files_message(self.root, foreign))
        filled = [name for name in classes if files["train"].get(name)]
        check_folder_depth(self.root, homes["train"], filled)
        if not filled:
            raise UserError(
                f"{self.root} contains no images in class folders; expected {homes['train']}/<class>/<image>.jpg"
            )
        warn_of_loose_images(homes, self.root)
        warn_of_combined_names(filled, str(self.root))
        self.classnames, self._splits = build_splits(
            {
                part: [(name, self._example(path)) for name, paths in groups.items() for path in paths]
                for part, groups in files.items()
            },
            str(self.root),
            classes=classes,
            raw_names=raw_names,
        )

    @classmethod
    def from_spec(cls, argument: str, config: DataConfig) -> Folder:
        if not argument:
            raise UserError("folder needs a path: --data folder:PATH")
        return cls(argument, config.raw_names)

    def _example(self, path: Path) -> Example:
        return Example(path.relative_to(self.root).as_posix(), -1, path)


def _not_a_folder_message(root: Path) -> str:
    """Why `root` is not a folder, and what to use instead."""
    if not root.is_file():
        return f"no folder at {root}; check the path after folder:"
    if root.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"):
        return f"{root} is an archive; unpack it and give the folder"
    if root.suffix.lower() in (".csv", ".tsv", ".json"):
        kind = "json" if root.suffix.lower() == ".json" else "csv"
        return f"{root} is a file, not a folder; a list of images is read by {kind}:{root}"
    return f"{root} is a file, not a folder; give the folder that contains the classes"
