"""Text tables: fields separated by commas, semicolons or tabs, a header line, columns found by common names."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cliptune.errors import UserError
from cliptune.files import read_bytes


@dataclass(frozen=True)
class TextTable:
    """A table: its file, its header, and its rows with the line number each ends on."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, names: Iterable[str], asked: str = "") -> int | None:
        """The index of the column `asked` for, or of the first of `names` in the header; None if there is none.

        Case, spaces and punctuation are ignored. Raises `UserError` if the requested column does not exist.
        """
        plain = [_plain(title) for title in self.header]
        if asked:
            exact = [i for i, title in enumerate(self.header) if title == asked] or [
                i for i, title in enumerate(plain) if title == _plain(asked)
            ]
            if not exact:
                raise UserError(f"{self.path} has no column {asked!r}; it has {', '.join(self.header)}")
            return exact[0]
        return next((plain.index(name) for name in names if name in plain), None)


def read_table(path: Path) -> TextTable:
    """Read the table in a file. Raises `UserError` if it is not text, is empty, or a line is incomplete."""
    text = _text(path)
    start = text.lstrip("\r\n")
    if not start.strip():
        raise UserError(f"{path} is empty; expected a header line such as path,label and one line per image")
    first = re.sub(r'"[^"]*"', "", start.splitlines()[0])
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        rows = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise UserError(f"{path} cannot be read after line {reader.line_num} ({error}); check the quotes") from None
    (_, header), *rest = rows
    uneven = next((line for line, row in rest if len(row) != len(header)), None)
    if uneven is not None:
        fields = len(dict(rest)[uneven])
        raise UserError(
            f"line {uneven} of {path} has {fields} fields, but the header has {len(header)}; put quotes around a field "
            f"that contains {'a tab' if delimiter == chr(9) else delimiter}"
        )
    return TextTable(path, header, tuple(rest))


def line_numbers(numbers: Sequence[int], most: int = 3) -> str:
    """ "line 2", "lines 2, 5 and 9", "lines 2, 5, 9 and 4 more"."""
    shown = [str(n) for n in numbers[:most]]
    last = f"{len(numbers) - most} more" if len(numbers) > most else shown.pop()
    return f"line{'s' * (len(numbers) > 1)} " + " and ".join([", ".join(shown), last] if shown else [last])


def _text(path: Path) -> str:
    content = read_bytes(path)
    try:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Excel saves "Unicode text"
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from None


def _plain(title: str) -> str:
    return re.sub(r"[\W_]+", "", title).lower()
