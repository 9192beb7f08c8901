"""What is known of a public dataset before it is on disk, and where it is once it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cliptune.errors import UserError
from cliptune.files import read_bytes


@dataclass(frozen=True)
class Layout:
    """One way in which people have a dataset under their root."""

    kind: Literal["CoOp", "torchvision", "archive"]
    home: str
    """Its folder under the root; "" for the root itself."""
    images: str
    """Folder below `home` against which the split's paths count; "" for `home` itself."""
    sign: str = ""
    """Folder below those by which the layout is known, where `images` alone does not tell."""

    @property
    def tell(self) -> str:
        """The folder, from the root, that is there if the layout is."""
        return Path(self.home, self.images, self.sign).as_posix()


def archive_layouts(archive: str, home: str, images: str, sign: str = "") -> tuple[Layout, ...]:
    """Where `archive`.zip may leave a dataset whose CoOp folder is `home`: under either name, or one folder deeper, as
    some tools unpack into a folder of the archive's name."""
    homes = (archive, f"{archive}/{home}", f"{archive}/{archive}", f"{home}/{home}")
    return tuple(Layout("archive", h, images, sign) for h in dict.fromkeys(homes) if h != home)


@dataclass(frozen=True)
class DatasetSpec:
    """A public dataset: layouts, split, numbers to check against, and how to get it."""

    name: str
    """As in `--data NAME`."""
    title: str
    """As the published configurations call it."""
    layouts: tuple[Layout, ...]
    """The CoOp layout first."""
    classes: int
    counts: tuple[int, int, int]
    """Pictures for training, validation and test."""
    split: str = ""
    """File name of the split; "" where the dataset's own lists or folders decide."""
    lists: tuple[str, ...] = ()
    """Those lists, by their names in the dataset's folder."""
    split_sha256: str = ""
    """First 12 hexadecimal digits of the sha256 of the split file, where known."""
    classnames_sha256: str = ""
    """The same of the class names, in label order, joined by line ends."""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    masks: str = "class"
    """Where the released mask archive has the mask of a picture: "flat" by file name; "class" by class folder and file
    name; otherwise the folder below which the rest of the picture's path is the mask's."""
    source: str = ""
    """Where to get pictures and split by hand, in a sentence."""
    caveats: tuple[str, ...] = field(default=())
    """What surprises people about it, a sentence each."""


@dataclass(frozen=True)
class DatasetLocation:
    """A dataset that was found: which layout, its folder, its pictures, its split file if it has one."""

    layout: Layout
    home: Path
    images: Path
    split: Path | None


def find_split(card: DatasetSpec, root: Path) -> Path | None:
    """The split file: in any of the dataset's folders, in the root, or in `root/splits`."""
    homes = dict.fromkeys(layout.home for layout in card.layouts)
    places = [*(root / home for home in homes), root, root / "splits"]
    return next((folder / card.split for folder in places if card.split and (folder / card.split).is_file()), None)


def locate(card: DatasetSpec, root: Path) -> DatasetLocation:
    """Where a dataset is under `root`, by the first layout whose pictures' folder is there.

    Raises `UserError` where there are no pictures, or no split or list although the card names one.
    """
    there = [layout for layout in card.layouts if (root / layout.tell).is_dir()]
    if not there:
        raise UserError(_absent(card, root))
    split = find_split(card, root)
    home = root / there[0].home
    if card.split and split is None:
        raise UserError(
            f"{card.title} is in {home}, but its split {card.split} is not, and no other split is comparable with "
            f"published numbers; put the file there ({card.source})"
        )
    lacking = [name for name in card.lists if not (home / name).is_file()]
    if lacking:
        raise UserError(f"{card.title} in {home} lacks {', '.join(lacking)}; put them there ({card.source})")
    return DatasetLocation(there[0], home, home / there[0].images, split)


def _absent(card: DatasetSpec, root: Path) -> str:
    """Why nothing of a dataset is under `root`, and what to do."""
    whole = root.absolute()
    for layout in card.layouts:
        parts = Path(layout.home).parts
        if parts and whole.parts[-len(parts) :] == parts and (root / layout.images / layout.sign).is_dir():
            return f"{root} is {card.title} itself; give the folder above, --root {whole.parents[len(parts) - 1]}"
    looked = ", ".join(dict.fromkeys(layout.tell for layout in card.layouts))
    return (
        f"no {card.title} under {root}: looked for {looked}; cliptune data check {root} says more, "
        f"cliptune data download {card.name} --root {root} fetches it"
    )


def short_sha256(content: bytes) -> str:
    """The first 12 hexadecimal digits of the sha256."""
    return hashlib.sha256(content).hexdigest()[:12]


def spec_mismatches(card: DatasetSpec, split: Path | None, names: Sequence[str], counts: Sequence[int]) -> list[str]:
    """In what a dataset as found is not the published one, a phrase each; empty where it is."""
    told = []
    if split is not None and card.split_sha256:
        found = short_sha256(read_bytes(split))
        if found == card.split_sha256:
            return []
        told.append(f"its sha256 begins with {found}, not {card.split_sha256}")
    if len(names) != card.classes:
        told.append(f"{len(names)} classes, not {card.classes}")
    elif card.classnames_sha256 and short_sha256("\n".join(names).encode()) != card.classnames_sha256:
        told.append("other class names")
    if tuple(counts) != card.counts:
        told.append(f"{'/'.join(map(str, counts))} pictures, not {'/'.join(map(str, card.counts))}")
    return told
