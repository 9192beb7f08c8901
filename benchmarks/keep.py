"""Copy records into the repository, so that every quoted number can be reproduced from them.

The README's first table:

    .venv/bin/cliptune demo --out runs/demo
    .venv/bin/python benchmarks/keep.py runs/demo demo
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from cliptune.results import store

#: Folder of the kept records.
RESULTS = Path(__file__).parent / "results"


def kept_as(folder: Path, out: Path, kept: Path) -> Path:
    """The file in `kept` for the record of the run in `folder`, below `out`."""
    return kept / ("-".join(folder.relative_to(out).parts) + ".json")


def keep(folders: Iterable[Path], out: Path, kept: Path) -> None:
    """Copy the records of the runs in `folders`, below `out`, into `kept`."""
    kept.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        shutil.copyfile(folder / store.RESULT_FILE, kept_as(folder, out, kept))


def keep_all(out: Path, kept: Path) -> None:
    """Replace the records in `kept` with those below `out`."""
    shutil.rmtree(kept, ignore_errors=True)
    keep((record.parent for record in out.rglob(store.RESULT_FILE)), out, kept)


if __name__ == "__main__":
    keep_all(Path(sys.argv[1]), RESULTS / sys.argv[2])
