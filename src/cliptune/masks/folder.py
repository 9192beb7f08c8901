"""Masks from a folder: one file a picture, of whatever convention (DAPT-S reads SEEM's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cliptune.errors import UserError
from cliptune.masks.base import Fault, MaskSource, NoMask
from cliptune.masks.files import Reader, faults, under
from cliptune.masks.values import Values
from cliptune.types import Example, Picture


class FolderMasks(MaskSource):
    """Masks under `root`, at the picture's relative path, the end of it or its name (see `files.under`)."""

    def __init__(self, root: str | Path, values: Values | None = None):
        self.root, self.reader = Path(root).expanduser(), Reader(values or Values())
        if not self.root.is_dir():
            raise UserError(f"no mask folder at {self.root}; check the path after folder:")

    def find(self, example: Example) -> Path | None:
        """The mask file of an example, or None."""
        return under(self.root, Path(example.key))

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        return faults(examples, self.find, f"under {self.root}")

    def mask(self, example: Example, picture: Picture) -> Tensor:
        path = self.find(example)
        if path is None:
            raise NoMask(f"no mask for {example.key} under {self.root}; add it or use masks_from=gradcam")
        return self.reader.read(path, example, picture)
