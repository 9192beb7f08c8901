"""Records that stay in the repository, so that every number quoted can be rebuilt from them."""

from __future__ import annotations

import shutil
from pathlib import Path

from cliptune.results import store

#: Where they are kept.
RESULTS = Path(__file__).parent / "results"


def kept_as(folder: Path, out: Path, kept: Path) -> Path:
    """The file in `kept` for the record in a run's `folder` below `out`."""
    return kept / ("-".join(folder.relative_to(out).parts) + ".json")


def keep(folders: list[Path], out: Path, kept: Path) -> None:
    """Copy the records of runs' `folders`, which lie below `out`, into `kept`."""
    kept.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        shutil.copyfile(folder / store.NAME, kept_as(folder, out, kept))
