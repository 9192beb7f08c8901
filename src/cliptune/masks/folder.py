"""Masks from a folder: one file a picture, of whatever convention (DAPT-S reads SEEM's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.errors import UserError
from cliptune.masks.base import Fault
from cliptune.masks.files import faults, under
from cliptune.masks.stored import StoredMasks
from cliptune.masks.values import Values
from cliptune.types import Example


class FolderMasks(StoredMasks):
    """Masks under `root`, at the picture's relative path, the end of it or its name (see `files.under`)."""

    def __init__(self, root: str | Path, values: Values | None = None):
        super().__init__(values)
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f"no mask folder at {self.root}; check the path after folder:")

    def find(self, example: Example) -> Path | None:
        return under(self.root, Path(example.key))

    def faults(self, examples: Sequence[Example]) -> list[Fault]:
        return faults(examples, self.find, f"under {self.root}")

    def lacking(self, example: Example) -> str:
        return f"no mask for {example.key} under {self.root}; add it or use masks_from=gradcam"
