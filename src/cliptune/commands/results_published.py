"""`cliptune results published`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from cliptune.commands.parse import parse
from cliptune.commands.results_table import TableFormat, check_safe_cells, format_table
from cliptune.files import write_text
from cliptune.results import published
from cliptune.results.table import escape_formulas


@dataclass(frozen=True)
class ResultsPublished:
    """Numbers from papers and their repositories, each with its source: CLIP ViT-B/16 with OpenAI's weights."""

    method: tuple[str, ...] = ()
    """Ours (maple, maple+dapt) or as printed (PromptKD); re-runs by others come along. Left out, all."""
    data: tuple[str, ...] = ()
    """Data sets by our names, or average, over the eleven. Left out, all."""
    protocol: str = ""
    """base-to-novel or few-shot. Left out, both."""
    format: TableFormat = "terminal"
    """terminal, markdown, csv (one line a number) or latex."""
    safe_cells: bool = False
    """As for results table."""
    out: Path | None = None
    """A file for the text, which otherwise goes to standard output."""

    def __post_init__(self):
        check_safe_cells(self.safe_cells, self.format)


def results_published(arguments: list[str]) -> None:
    """Print published numbers."""
    options = parse(ResultsPublished, "results published", arguments)
    lines = published.select_published(options.method, options.data, options.protocol)
    if options.format == "csv":
        text = published.published_csv(lines)
        text = escape_formulas(text) if options.safe_cells else text
    else:
        text = format_table(published.published_table(lines), options.format, digits=2)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text(options.out, text)
