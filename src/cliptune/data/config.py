"""Where a run's pictures are and how they are read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cliptune import checks
from cliptune.errors import UserError

#: Environment variable that stands in for `root`.
ROOT_VARIABLE = "CLIPTUNE_DATA"
#: Fields that say where things are or how fast they come, and decide no number.
LOCATION_FIELDS = ("root", "cache")


@dataclass(frozen=True)
class DataConfig:
    """What a dataset is told beside its name."""

    root: str = ""
    """Folder that holds the public datasets, each in a folder of its own; left empty, the environment variable
    CLIPTUNE_DATA. Of csv and json data: the folder from which paths count; left empty, the file's own."""
    templates: tuple[str, ...] = ()
    """Sentences with one {} each, in place of the dataset's own."""
    raw_names: bool = False
    """Take the names of your own classes as they are, instead of making them readable (underscores to spaces, CamelCase
    split)."""
    image_column: str = ""
    """Of hub and csv data, where it cannot be guessed."""
    label_column: str = ""
    """Of hub and csv data, where it cannot be guessed."""
    label_separator: str = ""
    """Of hub and csv data whose images show several classes: what stands between labels in one cell. Left empty, it is
    guessed and said; none takes each cell for one class."""
    draws: str = ""
    """A folder of split_fewshot/shot_K-seed_S.pkl files (or one such file) whose shots are taken instead of drawing
    them; no code in them runs."""
    skip_bad: bool = False
    """Leave out images that cannot be read, however many, instead of stopping before training starts. Without it, own
    data may lack one in a hundred, and public datasets none."""
    shrink: int = 0
    """Shrink larger pictures once, when they are read, until their shorter edge has this many pixels: for photographs
    of many megapixels. 0 leaves them alone."""
    exact_resize: bool = False
    """Resize training views with Pillow, to the bit what published codes trained on, instead of with PyTorch in a
    quarter of the time, where one value in 300 is a grey level off."""
    cache: bool = True
    """Keep decoded pictures on disk (in the user's cache folder, or CLIPTUNE_CACHE), from where later epochs and runs
    map them into memory."""

    def __post_init__(self):
        for template in self.templates:
            checks.template("template", template)
        checks.at_least(self, 0, "shrink")

    def folder(self, name: str) -> Path:
        """The root. Raises `UserError` where nobody says it."""
        given = self.root or os.environ.get(ROOT_VARIABLE, "")
        if not given:
            raise UserError(
                f"{name} is a public dataset on your disk; say where: --root FOLDER, or set {ROOT_VARIABLE}"
            )
        root = Path(given).expanduser()
        if not root.is_dir():
            raise UserError(
                f"no folder at {root}; check --root" if self.root else f"no folder at {root}; check {ROOT_VARIABLE}"
            )
        return root
