"""Specification of a public dataset: layouts on disk, sizes, checksums, templates and how to download it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cliptune.data.public.common.recipe import COLLECTION, Recipe
from cliptune.errors import UserError
from cliptune.files import read_bytes


@dataclass(frozen=True)
class Layout:
    """A folder layout in which people keep a dataset under their root."""

    kind: Literal["CoOp", "torchvision", "archive"]
    home: str
    """The dataset's folder relative to the root; "" for the root itself."""
    images: str
    """The folder relative to `home` that the paths in the split start from; "" for `home` itself."""
    marker_dir: str = ""
    """A folder inside `images` that identifies the layout where `images` alone is ambiguous."""

    @property
    def marker_path(self) -> str:
        """The folder, relative to the root, whose existence identifies the layout."""
        return Path(self.home, self.images, self.marker_dir).as_posix()


@dataclass(frozen=True)
class DatasetSpec:
    """A public dataset: layouts, split, expected sizes and checksums, and where to get it."""

    name: str
    """The name in `--data NAME`, and of the module."""
    title: str
    """The name in published configurations."""
    layouts: tuple[Layout, ...]
    """Known layouts, the CoOp layout first."""
    num_classes: int
    split_sizes: tuple[int, int, int]
    """Number of training, validation and test images."""
    split_file: str = ""
    """File name of the published split; "" if the dataset's own lists or folders define the split."""
    list_files: tuple[str, ...] = ()
    """The dataset's own lists, relative to its folder."""
    split_sha256: str = ""
    """First 12 hexadecimal digits of the SHA-256 of the split file; "" if unknown."""
    classnames_sha256: str = ""
    """The same for the class names in label order, joined by newlines."""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    mask_layout: str = "class"
    """Path of an image's mask in the released mask archive: "flat" by file name; "class" by class folder and file
    name; otherwise a folder name: the mask's path is the rest of the image's path below that folder."""
    source: str = ""
    """Source of images and split for a manual download, as a phrase."""
    caveats: tuple[str, ...] = ()
    """Common pitfalls, one sentence each."""
    recipe: Recipe = Recipe()
    """Recipe for `cliptune data download`."""

    @property
    def home(self) -> str:
        """The dataset's folder in the CoOp layout, relative to the root."""
        return self.layouts[0].home

    @property
    def marker_dir(self) -> str:
        """The folder relative to `home` that identifies a copy of the dataset."""
        return self.layouts[0].images or self.layouts[0].marker_dir


@dataclass(frozen=True)
class DatasetLocation:
    """The location of a dataset on disk: its layout, folder, image folder and, if it has one, split file."""

    layout: Layout
    home: Path
    images: Path
    split_file: Path | None


def archive_layouts(archive: str, home: str, images: str, marker_dir: str = "") -> tuple[Layout, ...]:
    """Layouts in which `archive`.zip may be unpacked if `home` is the CoOp folder.

    The folder may have either name, or be one level deeper, as some tools unpack into a folder named like the archive.
    """
    homes = (archive, f"{archive}/{home}", f"{archive}/{archive}", f"{home}/{home}")
    return tuple(Layout("archive", h, images, marker_dir) for h in dict.fromkeys(homes) if h != home)


def collection_source(archive: str, images: str) -> str:
    """The `source` of a dataset of the collection. archive: its zip file there. images: where the images alone are."""
    return (
        f"{archive} at https://huggingface.co/{COLLECTION} contains images and split; the split alone is linked in "
        f"https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md; {images}"
    )


def find_split(spec: DatasetSpec, root: Path) -> Path | None:
    """The split file in any of the dataset's folders, in `root` or in `root/splits`; None if it is in none."""
    homes = dict.fromkeys(layout.home for layout in spec.layouts)
    folders = [*(root / home for home in homes), root, root / "splits"]
    files = (folder / spec.split_file for folder in folders if spec.split_file)
    return next((file for file in files if file.is_file()), None)


def missing_lists(spec: DatasetSpec, home: Path) -> list[str]:
    """The dataset's own lists that are not in its folder."""
    return [name for name in spec.list_files if not (home / name).is_file()]


def locate(spec: DatasetSpec, root: Path) -> DatasetLocation:
    """Locate a dataset under `root`, by the first layout whose image folder exists.

    Raises:
        UserError: If there are no images, or the split or a list that the spec names is missing.
    """
    layout = next((layout for layout in spec.layouts if (root / layout.marker_path).is_dir()), None)
    if layout is None:
        raise UserError(_not_found_message(spec, root))
    split_file, home = find_split(spec, root), root / layout.home
    if spec.split_file and split_file is None:
        raise UserError(
            f"{spec.title} is in {home}, but its split {spec.split_file} is not, and results on another split do not "
            f"compare with published ones; put the file there ({spec.source})"
        )
    if lists := missing_lists(spec, home):
        raise UserError(f"{spec.title} in {home} lacks {', '.join(lists)}; put them there ({spec.source})")
    return DatasetLocation(layout, home, home / layout.images, split_file)


def _not_found_message(spec: DatasetSpec, root: Path) -> str:
    absolute = root.absolute()
    for layout in spec.layouts:
        parts = Path(layout.home).parts
        inside = parts and absolute.parts[-len(parts) :] == parts
        if inside and (root / layout.images / layout.marker_dir).is_dir():
            return f"{root} is {spec.title} itself; give the folder above, --root {absolute.parents[len(parts) - 1]}"
    searched = ", ".join(dict.fromkeys(layout.marker_path for layout in spec.layouts))
    return (
        f"no {spec.title} under {root}: looked for {searched}; `cliptune data check {root}` shows details, "
        f"`cliptune data download {spec.name} --root {root}` downloads it"
    )


def short_sha256(content: bytes) -> str:
    """The first 12 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def spec_mismatches(
    spec: DatasetSpec, split_file: Path | None, classnames: Sequence[str], sizes: Sequence[int]
) -> list[str]:
    """Describe how a dataset on disk differs from the published one, one phrase per difference; empty if it does not.

    A split file with the published checksum is not checked further.
    """
    mismatches = []
    if split_file is not None and spec.split_sha256:
        found = short_sha256(read_bytes(split_file))
        if found == spec.split_sha256:
            return []
        mismatches.append(f"its sha256 begins with {found}, not {spec.split_sha256}")
    if len(classnames) != spec.num_classes:
        mismatches.append(f"{len(classnames)} classes, not {spec.num_classes}")
    elif spec.classnames_sha256 and short_sha256("\n".join(classnames).encode()) != spec.classnames_sha256:
        mismatches.append("different class names")
    if tuple(sizes) != spec.split_sizes:
        mismatches.append(f"{'/'.join(map(str, sizes))} images, not {'/'.join(map(str, spec.split_sizes))}")
    return mismatches
