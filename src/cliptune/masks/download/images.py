"""The images that masks are downloaded for, and the folder where their masks belong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.data import public
from cliptune.data.config import DataConfig
from cliptune.data.public.common.spec import DatasetLocation, locate
from cliptune.errors import UserError
from cliptune.protocols.common.benchmarks import BENCHMARKS
from cliptune.types import Example


@dataclass(frozen=True)
class MaskedImages:
    """The images of a dataset on disk, by split.

    Args:
        name: The dataset's name.
        location: Where it is.
        splits: "train", "val" and "test", without those that have no images. A split that equals an earlier one is left
            out.
    """

    name: str
    location: DatasetLocation
    splits: dict[str, Sequence[Example]]

    @property
    def folder(self) -> Path:
        """The folder for masks, the first that `beside` searches and no other dataset has."""
        home = self.location.home if self.location.layout.home else self.location.images
        return home / "mask"

    @property
    def prefix(self) -> str:
        """The path of the image folder, relative to the one that contains `folder`; it ends in / unless it is empty."""
        inner = os.path.relpath(self.location.images, self.folder.parent).replace(os.sep, "/")
        return "" if inner == "." else f"{inner}/"

    def keys(self, split: str) -> list[str]:
        """Paths of images relative to the image folder."""
        start = f"{self.location.images}{os.sep}"
        paths = [str(example.path) for example in self.splits.get(split, ())]
        return [path.removeprefix(start).replace(os.sep, "/") for path in paths]


def masked_images(name: str, root: Path) -> MaskedImages:
    """The images of a dataset under `root`. Raises `UserError` if it is not there, or has no training images."""
    kind = public.classes()[name]
    if name not in BENCHMARKS:
        own = "its annotations contain masks" if name == "pascal_voc" else "it is for testing only, without masks"
        raise UserError(f"no archive has masks of {kind.spec.title}: {own}")
    dataset = kind.from_spec("", DataConfig(root=str(root)))
    splits: dict[str, Sequence[Example]] = {}
    for split in ("train", "val", "test"):
        examples = dataset.examples(split)
        if examples and examples not in splits.values():
            splits[split] = examples
    if "train" not in splits:
        raise UserError(
            f"{kind.spec.title} in {dataset.location.home} has no training images, and only they need masks"
        )
    return MaskedImages(name, dataset.location, splits)


def datasets_under(root: Path) -> list[str]:
    """The benchmarks whose images are under `root`."""
    specs, found = public.specs(), list[str]()
    for name in BENCHMARKS:
        try:
            locate(specs[name], root)
        except UserError:
            continue
        found.append(name)
    return found
