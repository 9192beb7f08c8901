"""Your own pictures: one folder a class."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from pathlib import Path

from cliptune.data.dataset import Dataset
from cliptune.data.own import assemble, part_of
from cliptune.data.settings import Reading
from cliptune.data.tags import note_combined
from cliptune.data.walk import closed, images_under, is_litter, unread_in
from cliptune.errors import UserError
from cliptune.types import Example

#: Folders of masks, which some keep beside those of the classes.
MASKS = ("mask", "masks")


class Folder(Dataset):
    """Pictures under `root/<class>/`, at any depth, or under `root/{train,val,test}/<class>/`.

    Without those parts each class is cut reproducibly, 50 % training, 20 % validation, 30 % test; a training part
    alone gives its share to what is missing. Class names are folder names made readable ("red_fox" -> "red fox",
    "RedFox" -> "Red Fox").
    """

    def __init__(self, root: str | Path, raw_names: bool = False):
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(_absent(self.root))
        self.name = self.root.resolve().name or str(self.root)
        found = _parts(self.root)
        if found and "train" not in found:
            raise UserError(
                f"{self.root} has {', '.join(p.name for p in found.values())} but no train folder; add one, or put "
                f"the classes side by side"
            )
        homes = found or {"train": self.root}
        classes = sorted({c.name for home in homes.values() for c in _folders(home)})
        classes = _without_masks(classes, homes["train"])
        foreign: Counter[str] = Counter()
        files = {part: {name: _pictures(home / name, foreign) for name in classes} for part, home in homes.items()}
        if foreign:
            warnings.warn(unread_in(self.root, foreign), stacklevel=2)
        filled = [name for name in classes if files["train"][name]]
        _check_depth(self.root, homes["train"], filled)
        if not filled:
            raise UserError(
                f"{self.root} holds no pictures in class folders; expected {homes['train']}/<class>/<picture>.jpg"
            )
        note_combined(filled, str(self.root))
        self.classnames, self._splits = assemble(
            {
                part: [(name, self._example(path)) for name, paths in groups.items() for path in paths]
                for part, groups in files.items()
            },
            str(self.root),
            classes=classes,
            raw_names=raw_names,
        )

    @classmethod
    def from_spec(cls, argument: str, reading: Reading) -> Folder:
        if not argument:
            raise UserError("folder needs a path: --data folder:PATH")
        return cls(argument, reading.raw_names)

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def aside(self) -> list[Example]:
        return self._splits["aside"]

    def tested(self) -> list[Example]:
        return self._splits["tested"]

    def _example(self, path: Path) -> Example:
        return Example(path.relative_to(self.root).as_posix(), -1, path)


def _absent(root: Path) -> str:
    """Why there is nothing to look through at `root`."""
    if not root.is_file():
        return f"no folder at {root}; check the path after folder:"
    if root.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"):
        return f"{root} is an archive; unpack it and give the folder"
    if root.suffix.lower() in (".csv", ".tsv", ".json"):
        kind = "json" if root.suffix.lower() == ".json" else "csv"
        return f"{root} is a file, not a folder; a list of pictures is read by {kind}:{root}"
    return f"{root} is a file, not a folder; give the folder that holds the classes"


def _folders(home: Path) -> list[Path]:
    """Folders in one, in alphabetical order, links to folders among them."""
    try:
        with os.scandir(home) as held:
            return sorted(Path(entry.path) for entry in held if not is_litter(entry.name) and entry.is_dir())
    except OSError as error:
        raise closed(error) from None


def _parts(root: Path) -> dict[str, Path]:
    """The folders of the three parts that are there. Raises `UserError` where two stand for the same part."""
    found: dict[str, Path] = {}
    for folder in _folders(root):
        part = part_of(folder.name)
        if part and part in found:
            raise UserError(f"{root} has both {found[part].name} and {folder.name}; keep one {part} folder")
        if part:
            found[part] = folder
    return found


def _without_masks(classes: list[str], home: Path) -> list[str]:
    """Classes less a folder of masks, unless there would be fewer than two left (mask and no_mask)."""
    kept = [name for name in classes if name.lower() not in MASKS]
    masks = sorted(set(classes) - set(kept))
    if not masks or len(kept) < 2:
        return classes
    path = home / masks[0]
    warnings.warn(
        f"{path} is taken for masks of the pictures, not for a class; use them with --masks-from folder:{path}, or "
        f"rename the folder if it is a class",
        stacklevel=3,
    )
    return kept


def _check_depth(root: Path, home: Path, filled: list[str]) -> None:
    """Raise `UserError` where classes lie one folder deeper, or hold training and test pictures of their own."""
    for name in filled:
        inner = {part_of(folder.name): folder for folder in _folders(home / name)}
        if "train" not in inner or inner.keys().isdisjoint({"val", "test"}):
            continue
        if _folders(inner["train"]):
            raise UserError(f"{home / name} is a dataset of its own, with a train folder; say folder:{home / name}")
        wanted = f"{root}/train/{name}/<picture>.jpg"
        raise UserError(f"{home / name} has a train folder inside; parts hold the classes: expected {wanted}")
    if len(filled) == 1 and home == root and len(_folders(root / filled[0])) > 1:
        raise UserError(
            f"{root} has one class only ({filled[0]}); if the classes are the folders inside it, say "
            f"folder:{root / filled[0]}"
        )


def _pictures(folder: Path, foreign: Counter[str]) -> list[Path]:
    """Image files of a class at any depth; those of kinds that are not read are counted in `foreign`."""

    def told(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # a part need not have every class
            raise closed(error)

    return images_under(folder, foreign, told)
