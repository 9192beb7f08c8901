"""Tables of one row per item: in memory, with or without pandas, and as CSV, JSON Lines or Parquet files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptune.errors import UserError, os_reason
from cliptune.files import atomic_write, check_file, write_text
from cliptune.html_repr import html_repr

#: Suffixes of files that `write_rows` writes.
SUFFIXES = (".csv", ".jsonl", ".parquet")
#: The command that installs pandas and pyarrow.
INSTALL = 'pip install "cliptune[tables]"'


class RowTable(Sequence[Mapping[str, Any]]):
    """A table without pandas: a sequence of rows, each a mapping from column to value.

    `table["true"]` is a column as a list, `table[0]` a row. With pandas installed, functions that return tables return
    a `pandas.DataFrame` instead.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]):
        self.columns, self.rows = tuple(columns), tuple(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, which: Any) -> Any:
        return [row[which] for row in self.rows] if isinstance(which, str) else self.rows[which]

    def __repr__(self) -> str:
        names = ", ".join(self.columns)
        return f"<{len(self.rows)} rows with {names}; a plain table, as pandas is not installed: {INSTALL}>"

    def _repr_html_(self) -> str:
        return html_repr(self, "tables:row_table_html")


def to_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Any:
    """A `pandas.DataFrame` if pandas is installed, otherwise a `RowTable`."""
    try:
        import pandas
    except ImportError:
        return RowTable(columns, rows)
    return pandas.DataFrame([[row[name] for name in columns] for row in rows], columns=list(columns))


def check_row_file(path: Path, flag: str = "--out") -> None:
    """Raise `UserError` unless `write_rows` can write the file: for another suffix, a missing package, or a place that
    cannot be written to."""
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{flag} takes a file that ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, got {path}")
    if path.suffix.lower() == ".parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise UserError(f"Parquet files need the package pyarrow: {INSTALL}; or write .csv or .jsonl") from None
    check_file(path)


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to a file in the format of its suffix (see `SUFFIXES`), atomically.

    CSV has a header; missing values are empty there and null elsewhere. Numbers are written at full precision. Bytes of
    file names that are not Unicode become question marks. Raises `UserError`.
    """
    check_row_file(path)
    rows = [{name: _printable(row[name]) for name in columns} for row in rows]
    if path.suffix.lower() == ".csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, out.getvalue())
    elif path.suffix.lower() == ".jsonl":
        write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    else:
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({name: [row[name] for row in rows] for name in columns})
        with atomic_write(path) as temporary:
            try:
                pyarrow.parquet.write_table(table, temporary)
            except OSError as error:
                raise UserError(f"cannot write to {path}: {os_reason(error)}") from None


def _printable(value: Any) -> Any:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
