"""Options for locating and reading the images of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cliptune import checks
from cliptune.errors import UserError

#: Environment variable used if `root` is empty.
ROOT_VARIABLE = "CLIPTUNE_DATA"
#: Fields that change no result: locations and caching.
LOCATION_FIELDS = ("root", "cache")


@dataclass(frozen=True)
class DataConfig:
    """Options of a dataset besides its name."""

    root: str = ""
    """Folder that contains the public datasets, each in its own subfolder; by default the environment variable
    CLIPTUNE_DATA. For csv and json data: the folder that paths are relative to; by default the folder of the file."""
    templates: tuple[str, ...] = ()
    """Prompt templates with one {} each, in place of the dataset's own."""
    raw_names: bool = False
    """Use the names of your own classes unchanged, instead of making them readable (underscores to spaces, CamelCase
    split)."""
    image_column: str = ""
    """Column of the images in hub and csv data, if it cannot be guessed."""
    label_column: str = ""
    """Column of the labels in hub and csv data, if it cannot be guessed."""
    label_separator: str = ""
    """Separator between the labels in one cell of multi-label hub and csv data. By default it is guessed, with a
    warning; none reads each cell as one class."""
    draws: str = ""
    """A folder of split_fewshot/shot_K-seed_S.pkl files (or one such file) whose few-shot draws are used in place of
    new ones. No code in these files is executed."""
    skip_bad: bool = False
    """Leave out images that cannot be read, however many, instead of stopping before training starts. By default, one
    in a hundred images of your own data may be unreadable, and none of a public dataset."""
    shrink: int = 0
    """Shrink larger images when they are read, until their shorter edge has this many pixels: for photographs of many
    megapixels. 0 leaves them unchanged."""
    exact_resize: bool = False
    """Resize training views with Pillow, bit for bit as published code does. By default PyTorch resizes them in a
    quarter of the time, where one value in 300 is one grey level off."""
    cache: bool = True
    """Store decoded images on disk (in the user's cache folder, or CLIPTUNE_CACHE), from where later epochs and runs
    map them into memory."""

    def __post_init__(self):
        for template in self.templates:
            checks.template("template", template)
        checks.at_least(self, 0, "shrink")

    def folder(self, name: str) -> Path:
        """The folder of the public datasets. Raises `UserError` if it is not set or does not exist."""
        path = self.root or os.environ.get(ROOT_VARIABLE, "")
        if not path:
            raise UserError(
                f"{name} is a public dataset, whose folder is not set: use --root FOLDER, or set {ROOT_VARIABLE}"
            )
        root = Path(path).expanduser()
        if not root.is_dir():
            raise UserError(
                f"no folder at {root}; check --root" if self.root else f"no folder at {root}; check {ROOT_VARIABLE}"
            )
        return root
