"""Your own pictures: one folder a class."""

from __future__ import annotations

import random
import re
import warnings
from pathlib import Path

from cliptune.data.dataset import Dataset
from cliptune.data.pictures import SUFFIXES, read_picture
from cliptune.data.settings import Reading
from cliptune.errors import UserError
from cliptune.types import Example, Picture

#: Names under which the three parts are found.
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}


class Folder(Dataset):
    """Pictures under `root/<class>/`, or `root/{train,val,test}/<class>/`.

    Without those parts each class is cut reproducibly, 50 % training, 20 % validation, 30 % test; a training part
    alone gives its share to what is missing. Class names are folder names made readable ("red_fox" -> "red fox",
    "RedFox" -> "Red Fox").
    """

    def __init__(self, root: str | Path, raw_names: bool = False):
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f"no folder at {self.root}; check the path after folder:")
        self.name = self.root.name or str(self.root)
        parts = {part: self._part(part) for part in PARTS}
        found = {part: folder for part, folder in parts.items() if folder is not None}
        classes = sorted(
            {
                c.name
                for f in (list(found.values()) or [self.root])
                for c in f.iterdir()
                if c.is_dir() and not c.name.startswith(".")
            }
        )
        if found and "train" not in found:
            raise UserError(
                f"{self.root} has {', '.join(p.name for p in found.values())} but no train folder; add one, or put "
                f"the classes side by side"
            )
        files = {
            part: [self._files(folder / name) for name in classes]
            for part, folder in (found or {"train": self.root}).items()
        }
        counts = [len(group) for group in files["train"]]
        if not sum(counts):
            raise UserError(
                f"{self.root} holds no pictures in class folders; expected {self.root}/<class>/<picture>.jpg"
            )
        kept = [i for i, count in enumerate(counts) if count]
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
        if len(kept) < 2:
            raise UserError(
                f"{self.root} has one class only ({classes[kept[0]]}); classification needs at least two class folders"
            )
        self.classnames = tuple(classes[i] if raw_names else readable(classes[i]) for i in kept)
        read = [name.lower() for name in self.classnames]  # as the tokenizer reads them
        repeated = [name for name in read if read.count(name) > 1]
        if repeated:
            raise UserError(f"two folders of {self.root} read as the class {min(repeated)!r}; rename one")
        if empty:
            warnings.warn(f"no training pictures of {', '.join(empty)} in {self.root}: left out", stacklevel=3)
        self._splits = self._cut({part: [groups[i] for i in kept] for part, groups in files.items()})

    @classmethod
    def from_spec(cls, argument: str, reading: Reading) -> Folder:
        if not argument:
            raise UserError("folder needs a path: --data folder:PATH")
        return cls(argument, reading.raw_names)

    def examples(self, split: str) -> list[Example]:
        return self._splits[split]

    def read(self, example: Example) -> Picture:
        assert example.path is not None
        return read_picture(example.path)

    def _part(self, part: str) -> Path | None:
        return next((self.root / name for name in PARTS[part] if (self.root / name).is_dir()), None)

    def _files(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        found = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        return sorted(p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))

    def _cut(self, files: dict[str, list[list[Path]]]) -> dict[str, list[Example]]:
        """Give parts that are missing their share of each class's training pictures, shuffled by a fixed seed."""
        rng = random.Random(0)
        splits: dict[str, list[Example]] = {part: [] for part in PARTS}
        for label, group in enumerate(files["train"]):
            rest = list(group)
            rng.shuffle(rest)
            for part, share in (("test", 0.3), ("val", 0.2)):
                if part in files:
                    own = files[part][label]
                else:
                    # A class of one picture keeps it for training and is tested on nothing.
                    count = min(max(1, round(share * len(group))), len(rest) - 1)
                    own, rest = rest[:count], rest[count:]
                splits[part] += [self._example(path, label) for path in sorted(own)]
            splits["train"] += [self._example(path, label) for path in sorted(rest)]
        return splits

    def _example(self, path: Path, label: int) -> Example:
        return Example(path.relative_to(self.root).as_posix(), label, path)


def readable(folder: str) -> str:
    """A folder's name as words for a sentence: underscores and dashes to spaces, CamelCase split."""
    words = re.sub(r"[_\-]+", " ", folder)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words).strip()
