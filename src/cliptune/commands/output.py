"""Where tables are printed."""

from __future__ import annotations

import sys

from rich.console import Console

#: Columns that no table has: what is piped is not broken into lines.
UNLIMITED_WIDTH = 10_000
#: Fewest columns of a terminal that tables are made for.
MIN_WIDTH = 100


def table_console() -> Console:
    """Standard output: as wide as the terminal, or without a limit where it goes to a file or a pipe."""
    width = max(MIN_WIDTH, Console().width) if sys.stdout.isatty() else UNLIMITED_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)
