"""Write a table as text: for a terminal, as Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from cliptune.results.aggregate import display_name
from cliptune.results.columns import is_text
from cliptune.results.formatting import (
    MISSING,
    FormattedCell,
    column_title,
    format_cells,
    is_comparison_column,
    key_text,
    key_value,
    split_shared_keys,
)
from cliptune.results.summary import Table, spread_width

#: First characters of cells that spreadsheets evaluate as formulas.
FORMULA_PREFIXES = tuple("=+-@\t\r\n")
#: Columns of a terminal.
TERMINAL_WIDTH = 100


def to_rich(table: Table, *, digits: int = 1) -> Group:
    """Format for a terminal 100 columns wide, with shared values above, footnotes below and the best values in bold.

    Deviations are placed below the means if a row would be too wide.
    """
    keys, shared = split_shared_keys(table)
    body = format_cells(table, digits)
    widths = [max([len(k), *(len(key_text(row, k)) for row in table.rows)]) for k in keys]
    heads = [_terminal_title(column) for column in table.columns]
    widths += [
        max([*map(len, head.split("\n")), *(len(_join_cell(r[j].mean, r[j], "±")) for r in body)])
        for j, head in enumerate(heads)
    ]
    total = sum(widths) + len(widths) + 1  # a space between columns, and at the edges, is the box's
    gap = 2 if total + 2 * len(widths) <= TERMINAL_WIDTH else 1
    between = " " if total + gap * len(widths) <= TERMINAL_WIDTH else "\n"
    rich = RichTable(box=box.SIMPLE_HEAD)
    rich.pad_edge, rich.padding = False, (0, gap, 0, 0)
    for key, width in zip(keys, widths, strict=False):
        text = is_text(key)
        rich.add_column(
            key, justify="left" if text else "right", overflow="fold", no_wrap=not text, min_width=min(width, 20)
        )
    for head in heads:
        rich.add_column(head.replace("/", "/" + between.strip(" ")), justify="right", no_wrap=True)
    for i, (row, cells) in enumerate(zip(table.rows, body, strict=True)):
        last = i + 1 == len(table.rows) or table.rows[i + 1].data != row.data
        rich.add_row(
            *(Text(key_text(row, key)) for key in keys), *(_styled(cell, between) for cell in cells), end_section=last
        )
    # Not as a title or caption of the table, which would be wrapped to the width of a narrow table.
    notes = " ".join(table.footnotes)
    return Group(*([Text(f" {shared}")] if shared else []), rich, *([Text(notes)] if notes else []))


def _terminal_title(column: str) -> str:
    """A column's title in two short lines where it has two words."""
    title = column_title(column).replace("trainable ", "trainable\n")
    return title.replace(" published", "\npaper").replace(" difference", "\ndiff")


def to_markdown(table: Table, *, digits: int = 1) -> str:
    """Format as a pipe table followed by the footnotes."""
    lines = [[*table.keys, *map(column_title, table.columns)]]
    lines.append(["---" if is_text(k) else "--:" for k in table.keys] + ["--:"] * len(table.columns))
    for row, cells in zip(table.rows, format_cells(table, digits), strict=True):
        means = [(f"**{c.mean}**" if c.best else c.mean, c) for c in cells]
        lines.append(
            [key_text(row, k).replace("|", "\\|") for k in table.keys] + [_join_cell(mean, c, "±") for mean, c in means]
        )
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return body + "\n\n" + "\n".join(table.footnotes) + "\n"


def to_csv(table: Table) -> str:
    """Format as CSV at full precision.

    Columns: keys, the mean of each metric under its name, then for each metric `<metric>_std` (or `_ci95`, `_se`),
    `<metric>_p` if tested, and `<metric>_seeds`. Shots 0 means all images; unknown values are empty. The text does not
    depend on the order of the records.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    measured = [i for i, column in enumerate(table.columns) if not is_comparison_column(column)]
    tested = any(cell.p is not None for row in table.rows for cell in row.cells if cell is not None)
    ends = [table.spread, *(["p"] if tested else []), "seeds"]
    names = [display_name(column) for column in table.columns]
    writer.writerow([*table.keys, *names, *(f"{names[i]}_{end}" for i in measured for end in ends)])
    for row in table.rows:
        line = [display_name(row.more[key]) if key == "metric" else key_value(row, key) for key in table.keys]
        line += [None if cell is None else cell.mean for cell in row.cells]
        for cell in (row.cells[i] for i in measured):
            extra = {} if cell is None else {table.spread: spread_width(cell, table.spread), "p": cell.p}
            extra["seeds"] = None if cell is None else cell.seeds
            line += [extra.get(end) for end in ends]
        writer.writerow(line)
    return out.getvalue()


def to_latex(table: Table, *, digits: int = 1) -> str:
    """Format as a `tabular` for the booktabs package, with the footnotes as comments."""
    lines = [f"% {_escape_latex(note)}" for note in table.footnotes]
    aligned = "".join("l" if is_text(key) else "r" for key in table.keys) + "r" * len(table.columns)
    lines += [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule"]
    lines += [
        " & ".join(_escape_latex(name) for name in [*table.keys, *map(column_title, table.columns)]) + r" \\",
        r"\midrule",
    ]
    for row, cells in zip(table.rows, format_cells(table, digits), strict=True):
        means = [(rf"\textbf{{{_escape_latex(c.mean)}}}" if c.best else _escape_latex(c.mean), c) for c in cells]
        lines.append(
            " & ".join(
                [_escape_latex(key_text(row, k)) for k in table.keys] + [_join_cell(m, c, r"$\pm$") for m, c in means]
            )
            + r" \\"
        )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _join_cell(mean: str, cell: FormattedCell, sign: str) -> str:
    return " ".join(part for part in (mean, f"{sign} {cell.std}" if cell.std else "", cell.remark) if part)


def _styled(cell: FormattedCell, between: str) -> Text:
    rest = _join_cell("", cell, "±")
    return Text.assemble((cell.mean, "bold" if cell.best else ""), (f"{between}{rest}" if rest else "", "dim"))


def _escape_latex(text: str) -> str:
    """Escape characters with a special meaning in LaTeX."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        MISSING: "--",
        "±": r"$\pm$",
    }
    return re.sub(r"[\\~^&%$#_{}–±]", lambda found: special.get(found[0], "\\" + found[0]), text)


def escape_formulas(text: str) -> str:
    """Put an apostrophe before cells of CSV `text` that a spreadsheet would evaluate as formulas; numbers stay."""
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
