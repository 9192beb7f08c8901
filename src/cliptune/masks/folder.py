"""Masks from a folder: one file a picture, of whatever convention (DAPT-S reads SEEM's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.errors import UserError
from cliptune.masks.file_masks import FileMasks
from cliptune.masks.files import find_file_problems, find_mask_file
from cliptune.masks.pixel_encoding import PixelEncoding
from cliptune.masks.source import MaskProblem
from cliptune.types import Example


class FolderMasks(FileMasks):
    """Masks under `root`, at the picture's relative path, the end of it or its name (see `files.under`)."""

    def __init__(self, root: str | Path, values: PixelEncoding | None = None):
        super().__init__(values)
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f"no mask folder at {self.root}; check the path after folder:")

    def find(self, example: Example) -> Path | None:
        return find_mask_file(self.root, Path(example.key))

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return find_file_problems(examples, self.find, f"under {self.root}")

    def lacking(self, example: Example) -> str:
        return f"no mask for {example.key} under {self.root}; add it or use masks_from=gradcam"
