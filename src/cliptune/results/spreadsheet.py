"""CSV for spreadsheets, which compute cells that look like formulas."""

from __future__ import annotations

import csv
import io
import math

#: How cells begin that spreadsheets take for formulas.
FORMULA_PREFIXES = tuple("=+-@\t\r\n")


def safe_cells(text: str) -> str:
    """CSV `text` with an apostrophe before cells that begin like a formula, unless they are numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow(
            [f"'{cell}" if cell.startswith(FORMULA_PREFIXES) and not _is_number(cell) else cell for cell in row]
        )
    return out.getvalue()


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
