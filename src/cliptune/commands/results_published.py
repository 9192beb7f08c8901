"""`cliptune results published`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from cliptune.commands.parse import parse
from cliptune.commands.results_table import TableFormat, check_safe_cells, format_table
from cliptune.files import write_text
from cliptune.results import published
from cliptune.results.published_table import published_table
from cliptune.results.table import escape_formulas


@dataclass(frozen=True)
class ResultsPublished:
    """Results from papers and their repositories with their sources: CLIP ViT-B/16 with OpenAI's weights.

    Notes mark deviations from the usual setting, such as transductive methods."""

    method: tuple[str, ...] = ()
    """Methods by name (maple, maple+dapt) or as printed (PromptKD), including re-runs by others; default: all."""
    data: tuple[str, ...] = ()
    """Datasets, or average (over the eleven); default: all."""
    protocol: str = ""
    """base-to-novel, few-shot, cross-dataset or domain-generalization; default: all, one table each."""
    format: TableFormat = "terminal"
    """terminal, markdown, csv (one line per value) or latex."""
    safe_cells: bool = False
    """As in results table."""
    out: Path | None = None
    """Output file; default: standard output."""

    def __post_init__(self):
        check_safe_cells(self.safe_cells, self.format)


def results_published(arguments: list[str]) -> None:
    """Print published results."""
    options = parse(ResultsPublished, "results published", arguments)
    lines = published.select_published(options.method, options.data, options.protocol)
    if options.format == "csv":
        text = published.published_csv(lines)
        text = escape_formulas(text) if options.safe_cells else text
    else:
        protocols = dict.fromkeys(line.protocol for line in lines)
        tables = [published_table([line for line in lines if line.protocol == name]) for name in protocols]
        text = "\n".join(format_table(table, options.format, digits=2) for table in tables)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text(options.out, text)
