"""Tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

#: Width for files and pipes, where lines are never broken.
UNLIMITED_WIDTH = 10_000
#: Smallest terminal width that tables are formatted for.
MIN_WIDTH = 100


def table_console() -> Console:
    """Standard output, as wide as the terminal; without a limit if it is a file or a pipe."""
    width = max(MIN_WIDTH, Console().width) if sys.stdout.isatty() else UNLIMITED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def print_columns(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a title, then rows of text in columns, below their heading."""
    table = [[str(cell).encode(errors="replace").decode() for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    sys.stdout.write(f"\n{title}\n" + "".join(f"  {line}\n" for line in lines))
