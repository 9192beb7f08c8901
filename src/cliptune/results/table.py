"""A summary as a table: in the terminal, in Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from cliptune.results.aggregate import display_name
from cliptune.results.columns import COLUMNS, COST_COLUMNS, is_text
from cliptune.results.summary import AVERAGE, Cell, Row, spread_width
from cliptune.results.summary import Table as Table
from cliptune.results.summary import metric_names as metric_names
from cliptune.results.summary import summarise as summarise

MISSING = "–"
#: What stands between a metric and that which it is a column for: "test[16]" is test with 16 shots.
PIVOT_MARK = "["
#: Ends of columns that set published numbers beside a metric.
PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX = "_published", "_difference"
TERMINAL_WIDTH = 100  # columns of a terminal


@dataclass(frozen=True)
class FormattedCell:
    """A cell as people read it: mean, deviation and a remark, each perhaps empty, and whether it is the best."""

    mean: str
    std: str = ""
    remark: str = ""
    best: bool = False


def to_rich(table: Table, *, digits: int = 1) -> Group:
    """For a terminal 100 columns wide; what all rows share stands above, footnotes below, the best of each column is
    bold.

    Where numbers do not fit beside their deviations, these go below them.
    """
    keys, said = split_shared_keys(table)
    body = shown(table, digits)
    widths = [max([len(k), *(len(key_text(row, k)) for row in table.rows)]) for k in keys]
    heads = [_terminal_title(column) for column in table.columns]
    widths += [
        max([*map(len, head.split("\n")), *(len(_join_cell(r[j].mean, r[j], "±")) for r in body)])
        for j, head in enumerate(heads)
    ]
    taken = sum(widths) + len(widths) + 1  # a space between columns, and at the edges, is the box's
    gap = 2 if taken + 2 * len(widths) <= TERMINAL_WIDTH else 1
    between = " " if taken + gap * len(widths) <= TERMINAL_WIDTH else "\n"
    drawn = RichTable(box=box.SIMPLE_HEAD)
    drawn.pad_edge, drawn.padding = False, (0, gap, 0, 0)
    for key, width in zip(keys, widths, strict=False):
        text = is_text(key)
        drawn.add_column(
            key, justify="left" if text else "right", overflow="fold", no_wrap=not text, min_width=min(width, 20)
        )
    for head in heads:
        drawn.add_column(head.replace("/", "/" + between.strip(" ")), justify="right", no_wrap=True)
    for i, (row, cells) in enumerate(zip(table.rows, body, strict=True)):
        last = i + 1 == len(table.rows) or table.rows[i + 1].data != row.data
        drawn.add_row(
            *(Text(key_text(row, key)) for key in keys), *(_styled(cell, between) for cell in cells), end_section=last
        )
    # Beside the table, as a title or caption of its own would be wrapped to the width of a narrow table.
    notes = " ".join(table.footnotes)
    return Group(*([Text(f" {said}")] if said else []), drawn, *([Text(notes)] if notes else []))


def _terminal_title(column: str) -> str:
    """A column's title in two short lines where it has two words."""
    title = column_title(column).replace("trainable ", "trainable\n")
    return title.replace(" published", "\npaper").replace(" difference", "\ndiff")


def to_markdown(table: Table, *, digits: int = 1) -> str:
    """A pipe table and its footnotes."""
    lines = [[*table.keys, *map(column_title, table.columns)]]
    lines.append(["---" if is_text(k) else "--:" for k in table.keys] + ["--:"] * len(table.columns))
    for row, cells in zip(table.rows, shown(table, digits), strict=True):
        means = [(f"**{c.mean}**" if c.best else c.mean, c) for c in cells]
        lines.append(
            [key_text(row, k).replace("|", "\\|") for k in table.keys] + [_join_cell(mean, c, "±") for mean, c in means]
        )
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return body + "\n\n" + "\n".join(table.footnotes) + "\n"


def to_csv(table: Table) -> str:
    """Keys, then the mean of each metric under its name, then deviations and numbers of seeds; every digit.

    The same text for the same records in any order. Shots 0 stands for all; what is not known is empty. After the
    means come, for each metric, `<metric>_std` (or `_ci95`, `_se`), `<metric>_p` where tested, and `<metric>_seeds`.
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
            said = {} if cell is None else {table.spread: spread_width(cell, table.spread), "p": cell.p}
            said["seeds"] = None if cell is None else cell.seeds
            line += [said.get(end) for end in ends]
        writer.writerow(line)
    return out.getvalue()


def to_latex(table: Table, *, digits: int = 1) -> str:
    """A `tabular` for the booktabs package, with the footnotes as comments."""
    lines = [f"% {_escape_latex(note)}" for note in table.footnotes]
    aligned = "".join("l" if is_text(key) else "r" for key in table.keys) + "r" * len(table.columns)
    lines += [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule"]
    lines += [
        " & ".join(_escape_latex(name) for name in [*table.keys, *map(column_title, table.columns)]) + r" \\",
        r"\midrule",
    ]
    for row, cells in zip(table.rows, shown(table, digits), strict=True):
        means = [(rf"\textbf{{{_escape_latex(c.mean)}}}" if c.best else _escape_latex(c.mean), c) for c in cells]
        lines.append(
            " & ".join(
                [_escape_latex(key_text(row, k)) for k in table.keys] + [_join_cell(m, c, r"$\pm$") for m, c in means]
            )
            + r" \\"
        )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def column_title(column: str) -> str:
    """A column's heading."""
    metric, at, place = column.partition(PIVOT_MARK)
    for end in (PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX):
        if metric.endswith(end):
            return f"{column_title(metric.removesuffix(end))} {end[1:]}" + (f" {at}{place}" if at else "")
    part, slash, variant = display_name(metric).partition("/")
    titled = COLUMNS[part].title if part in COLUMNS else ""
    return (titled or part) + slash + variant + (f" {at}{place}" if metric and at else place.rstrip("]"))


def is_comparison_column(column: str) -> bool:
    """Whether a column sets something beside another one, which has the measurement."""
    return column.partition(PIVOT_MARK)[0].endswith((PUBLISHED_SUFFIX, DIFFERENCE_SUFFIX))


def key_value(row: Row, key: str) -> Any:
    """What a row is told apart by under a key; None if that is not said."""
    return row.more[key] if key in row.more else getattr(row, key, None)


def key_text(row: Row, key: str) -> str:
    """The same as text."""
    value = key_value(row, key)
    if key == "metric":
        return column_title(str(value))
    return MISSING if value is None else "all" if key == "shots" and value == 0 else str(value)


def split_shared_keys(table: Table) -> tuple[tuple[str, ...], str]:
    """The key columns in which rows differ, and a phrase with what they share: "emoji, 16 shots, 3 seeds"."""
    first, rest = table.keys[:1], table.keys[1:]
    shared = (
        {k: key_text(table.rows[0], k) for k in rest if len({key_text(r, k) for r in table.rows}) == 1}
        if table.rows
        else {}
    )
    words = [
        f"{said} {k}" if k in ("shots", "seeds") else said if k in ("data", "method", "metric") else f"{k} {said}"
        for k, said in shared.items()
        if said != MISSING
    ]
    words = [word[:-1] if word in ("1 shots", "1 seeds") else word for word in words]
    return (*first, *(k for k in rest if k not in shared)), ", ".join(words)


def shown(table: Table, digits: int = 1) -> list[list[FormattedCell]]:
    """Every cell as text. Best is the highest accuracy, as printed, of methods with the same data, shots, ...; a gap, a
    cost, a difference and what others published have no best."""
    highest: dict[tuple, list[float]] = defaultdict(list)
    for row in table.rows:
        for j, cell in enumerate(row.cells):
            if cell is not None:
                highest[_ranking_group(row, j)].append(round(cell.mean, digits))
    rows = []
    for row in table.rows:
        cells = []
        for j, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            metric = metric_of(row, column)
            rivals = highest[_ranking_group(row, j)]
            ranked = metric not in COST_COLUMNS and not metric.endswith("/gap") and len(rivals) > 1
            ranked = ranked and not is_comparison_column(column) and not table.differences
            best = cell is not None and ranked and round(cell.mean, digits) == max(rivals)
            cells.append(_format_cell(metric, cell, row, digits, best, table))
        rows.append(cells)
    return rows


def metric_of(row: Row, column: str) -> str:
    """The metric in a cell, which the column names, or the row where metrics are rows."""
    return str(row.more["metric"]) if "metric" in row.more else column.partition(PIVOT_MARK)[0]


def _ranking_group(row: Row, column: int) -> tuple:
    return row.data, row.shots, *row.more.values(), column


def _format_cell(metric: str, cell: Cell | None, row: Row, digits: int, best: bool, table: Table) -> FormattedCell:
    if cell is None:
        return FormattedCell(MISSING)
    remark = f"({cell.seeds})" if cell.seeds < row.seeds and row.data != AVERAGE else ""
    if metric in COST_COLUMNS:
        return FormattedCell(f"{cell.mean:,.{COST_COLUMNS[metric].decimals}f}", remark=remark)
    remark = " ".join(part for part in (remark, "" if cell.p is None else format_p(cell.p)) if part)
    width = spread_width(cell, table.spread)
    sign = "+" if table.differences or metric.endswith(DIFFERENCE_SUFFIX) else ""
    mean = round(cell.mean, digits) + 0.0  # no "-0.0"
    return FormattedCell(f"{mean:{sign}.{digits}f}", "" if width is None else f"{width:.{digits}f}", remark, best)


def format_p(p: float) -> str:
    """ "p=0.012", "p<0.001"."""
    return "p<0.001" if p < 0.001 else f"p={p:.3f}"


def _join_cell(mean: str, cell: FormattedCell, sign: str) -> str:
    return " ".join(part for part in (mean, f"{sign} {cell.std}" if cell.std else "", cell.remark) if part)


def _styled(cell: FormattedCell, between: str) -> Text:
    rest = _join_cell("", cell, "±")
    return Text.assemble((cell.mean, "bold" if cell.best else ""), (f"{between}{rest}" if rest else "", "dim"))


def _escape_latex(text: str) -> str:
    """`text` with what TeX reads as commands made plain."""
    special = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        MISSING: "--",
        "±": r"$\pm$",
    }
    return re.sub(r"[\\~^&%$#_{}–±]", lambda found: special.get(found[0], "\\" + found[0]), text)
