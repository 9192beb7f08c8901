"""Copy records into the repository, so that every quoted number can be reproduced from them.

The README's first table:

    .venv/bin/cliptune demo --out runs/demo
    .venv/bin/python benchmarks/keep.py runs/demo demo
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from cliptune import config
from cliptune.data.config import LOCATION_FIELDS
from cliptune.files import write_json
from cliptune.results import store

#: The folder with the records in the repository.
RESULTS = Path(__file__).parent / "results"


def record_copy(folder: Path, out: Path, target: Path) -> Path:
    """The file in `target` for the record of the run in `folder`, below `out`."""
    return target / ("-".join(folder.relative_to(out).parts) + ".json")


def without_place(text: str, out: Path) -> str:
    """A text with paths relative to the parent of `out`, where tables of data are."""
    return text.replace(f"{out.resolve().parent}/", "")


def keep(folders: Iterable[Path], out: Path, target: Path) -> None:
    """Copy the records of the runs in `folders`, below `out`, into `target`, without absolute paths of this machine."""
    target.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        text = (folder / store.RESULT_FILE).read_text(encoding="utf-8")
        record = json.loads(without_place(text, out))
        record["provenance"].pop("places", None)
        # Options that are younger than the record had their default; a table would take its row for another method.
        record["config"] = config.to_dict(config.from_dict(record["config"]))
        reading = {k: v for k, v in record["config"].pop("reading", {}).items() if k not in LOCATION_FIELDS}
        record["config"] |= {"reading": reading} if reading else {}
        if record == json.loads(text):
            shutil.copyfile(folder / store.RESULT_FILE, record_copy(folder, out, target))
        else:
            write_json(record_copy(folder, out, target), record)


def keep_all(out: Path, target: Path) -> None:
    """Replace the records in `target` with those below `out`."""
    shutil.rmtree(target, ignore_errors=True)
    keep((record.parent for record in out.rglob(store.RESULT_FILE)), out, target)


if __name__ == "__main__":
    keep_all(Path(sys.argv[1]), RESULTS / sys.argv[2])
