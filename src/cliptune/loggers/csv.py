"""A table of the epochs in the folder of the run."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptune.errors import UserError
from cliptune.files import read_text, write_text
from cliptune.loggers.common.logger import Logger, RunStart, final_metrics
from cliptune.types import Result


class Csv(Logger):
    """A row per epoch in `log.csv` of the run directory; the last one also has the final accuracy."""

    FILE = "log.csv"

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._path = Path(self.FILE)

    def check(self, folder: Path | None) -> None:
        if folder is None:
            raise UserError("the logger csv writes to the folder of the run; name one with out")

    def start(self, run: RunStart) -> None:
        self._path = (run.folder or Path()) / self.FILE
        self._rows = self._earlier_rows() if run.first else []
        self._rows = [row for row in self._rows if row["epoch"].isdecimal() and int(row["epoch"]) < run.first]

    def scalars(self, values: Mapping[str, float], epoch: int) -> None:
        self._rows.append({"epoch": epoch, **values})
        self._write()

    def finish(self, result: Result | None, folder: Path | None) -> None:
        if result is not None:
            self._rows = self._rows or [{"epoch": 0}]
            self._rows[-1] |= final_metrics(result)
            self._write()

    def _earlier_rows(self) -> list[dict[str, Any]]:
        if not self._path.is_file():
            return []
        return [row for row in csv.DictReader(io.StringIO(read_text(self._path))) if row.get("epoch")]

    def _write(self) -> None:
        columns = dict.fromkeys(name for row in self._rows for name in row)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self._path, out.getvalue())
