"""What is known of a public dataset before it is on disk, and where it is once it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cliptune.errors import UserError


@dataclass(frozen=True)
class Layout:
    """One way in which people have a dataset under their root."""

    kind: Literal["CoOp", "torchvision", "archive"]
    home: str
    """Its folder under the root; "" for the root itself."""
    images: str
    """Folder below `home` against which the split's paths count; "" for `home` itself."""


@dataclass(frozen=True)
class Card:
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
    split_print: str = ""
    """First 12 hexadecimal digits of the sha256 of the split file, where known."""
    names_print: str = ""
    """The same of the class names, in label order, joined by line ends."""
    templates: tuple[str, ...] = ("a photo of a {}.",)
    masks: str = "class"
    """Where the released mask archive has the mask of a picture: "flat" by file name; "class" by class folder and file
    name; otherwise the folder below which the rest of the picture's path is the mask's."""
    source: str = ""
    """Where to get pictures and split by hand, in a sentence."""
    traps: tuple[str, ...] = field(default=())
    """What surprises people about it, a sentence each."""


@dataclass(frozen=True)
class Place:
    """A dataset that was found: which layout, its folder, its pictures, its split file if it has one."""

    layout: Layout
    home: Path
    images: Path
    split: Path | None


def find_split(card: Card, root: Path) -> Path | None:
    """The split file: in any of the dataset's folders, in the root, or in `root/splits`."""
    homes = dict.fromkeys(layout.home for layout in card.layouts)
    places = [*(root / home for home in homes), root, root / "splits"]
    return next((folder / card.split for folder in places if card.split and (folder / card.split).is_file()), None)


def locate(card: Card, root: Path) -> Place:
    """Where a dataset is under `root`, by the first layout whose pictures' folder is there.

    Raises `UserError` where there are no pictures, or no split although the card names one.
    """
    there = [layout for layout in card.layouts if (root / layout.home / layout.images).is_dir()]
    if not there:
        looked = ", ".join(dict.fromkeys(Path(x.home, x.images).as_posix() for x in card.layouts))
        raise UserError(
            f"no {card.title} under {root}: looked for {looked}; cliptune data check {root} says more, "
            f"cliptune data download {card.name} --root {root} fetches it"
        )
    split = find_split(card, root)
    home = root / there[0].home
    if card.split and split is None:
        raise UserError(
            f"{card.title} is in {home}, but its split {card.split} is not, and no other split is comparable with "
            f"published numbers; put the file there ({card.source})"
        )
    return Place(there[0], home, home / there[0].images, split)
