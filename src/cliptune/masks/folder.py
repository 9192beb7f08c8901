"""Masks from a folder with one file per image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cliptune.errors import UserError
from cliptune.masks.file_masks import FileMasks
from cliptune.masks.files import find_file_problems, find_mask_file
from cliptune.masks.pixel_encoding import PixelEncoding, parse_path_options
from cliptune.masks.source import MaskProblem
from cliptune.types import Example


class FolderMasks(FileMasks):
    """Mask files under `root`, found by the image's relative path, the end of it, or its name (`find_mask_file`)."""

    def __init__(self, root: str | Path, encoding: PixelEncoding | None = None):
        super().__init__(encoding)
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f"no mask folder at {self.root}; check the path after folder:")

    @classmethod
    def from_spec(cls, argument: str, seed: int) -> FolderMasks:
        """argument: `PATH,values=labels,void=255,foreground=1+3`; the options may be omitted."""
        return cls(*parse_path_options(argument))

    def find(self, example: Example) -> Path | None:
        return find_mask_file(self.root, Path(example.key))

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return find_file_problems(examples, self.find, f"under {self.root}")

    def missing_message(self, example: Example) -> str:
        return f"no mask for {example.key} under {self.root}; add it or use masks_from=gradcam"
