"""The console that tables are printed to."""

from __future__ import annotations

import sys

from rich.console import Console

#: Width for files and pipes, where lines are never broken.
UNLIMITED_WIDTH = 10_000
#: Smallest terminal width that tables are formatted for.
MIN_WIDTH = 100


def table_console() -> Console:
    """Standard output, as wide as the terminal; without a limit if it is a file or a pipe."""
    width = max(MIN_WIDTH, Console().width) if sys.stdout.isatty() else UNLIMITED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)
