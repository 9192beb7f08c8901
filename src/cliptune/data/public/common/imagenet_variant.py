"""Test sets for models trained on ImageNet: one folder of images per class, and no training images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from cliptune.data.config import DataConfig
from cliptune.data.public.common.public_dataset import PublicDataset
from cliptune.data.public.common.wnids import list_class_folders, read_classnames, wnids
from cliptune.types import Example


class ImageNetVariant(PublicDataset):
    """A test set with ImageNet's classes, or some of them. Subclasses set `spec`.

    Attributes:
        subset: Its classes: "" for all of ImageNet's, "a" for those of ImageNet-A, "r" for those of ImageNet-R.
        numbered: Whether class folders are named by label (0, 1, ...) instead of WordNet ID.

    Raises:
        UserError: If it is not found, or class folders are missing.
    """

    subset: ClassVar[str] = ""
    numbered: ClassVar[bool] = False

    def __init__(self, root: str | Path, config: DataConfig | None = None):
        super().__init__(root, config)
        ids = wnids(self.subset)
        self.classnames = read_classnames(ids, (self.location.home, Path(root) / "imagenet"))
        folders = [str(label) for label in range(len(ids))] if self.numbered else ids
        images = self.location.images
        files = list_class_folders(images, folders, self.spec.title, f"copy it again ({self.spec.source})")
        self._test = [
            Example(f"{folder}/{name}", label, images / folder / name)
            for label, (folder, names) in enumerate(zip(folders, files, strict=True))
            for name in names
        ]

    def examples(self, split: str) -> list[Example]:
        """Test images by class, sorted by file name; "train" and "val" are empty."""
        return self._test if split == "test" else []
