"""`cliptune results table FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from cliptune import checks
from cliptune.commands.output import UNLIMITED_WIDTH, table_console
from cliptune.commands.parse import parse, split_first
from cliptune.errors import UserError
from cliptune.files import write_text
from cliptune.results import paired_comparison, published, store, summary, table
from cliptune.results.labels import get_setting
from cliptune.results.pivot import COUNT_KEYS, pivot
from cliptune.results.summary import Table
from cliptune.types import Result

TableFormat = Literal["terminal", "markdown", "csv", "latex"]
#: Dimensions that every table has.
DIMENSIONS = ("method", "data", "shots", "metric", "seed")
#: Settings that are a column of their own wherever runs differ in them, rather than a remark after the method.
AUTOMATIC_COLUMNS = ("protocol", "fraction", "selector")


@dataclass(frozen=True)
class ResultsTable:
    """Runs in a folder as a table: means over seeds, their standard deviation, the harmonic mean of base and novel.

    The same records give the same text, in whatever order they lie on the disk. Wall-clock and memory stay out unless
    --cost asks for them. CSV has every digit: keys, means under the metrics' names, then deviations and numbers of
    seeds."""

    format: TableFormat = "terminal"
    """terminal, markdown, csv or latex (booktabs)."""
    rows: tuple[str, ...] = ()
    """What stands in rows, in this order, which sorts them too: method, data, shots, metric, or a setting (fraction,
    selector, training.epochs). What is named neither here nor in --columns follows in rows."""
    columns: tuple[str, ...] = ("metric",)
    """What stands side by side: metric, shots, data, or a setting. --columns shots --metrics test: a curve a row."""
    metrics: tuple[str, ...] = ()
    """Which metrics, such as base novel hm base/swapped; left out, those of whole test sets."""
    methods: tuple[str, ...] = ()
    """Only these methods, by the labels they ran under; left out, all."""
    seeds: tuple[int, ...] = ()
    """Only runs of these seeds; left out, all."""
    cost: bool = False
    """Also learned parameters, seconds and peak memory."""
    per_seed: bool = False
    """A row for each seed instead of means."""
    average: bool = True
    """A last row with each method's average over the data sets, where there are several."""
    spread: summary.Spread = "std"
    """What follows a mean: the standard deviation over seeds (ddof = 1), half the 95 % interval of the mean (Student's
    t), or the mean's standard error."""
    published: bool = False
    """Beside each metric what was published of the same method, data, protocol, shots and backbone, and the
    difference."""
    against: str = ""
    """A method; instead of means, what the others gain over it seed by seed, with standard error and p."""
    test: paired_comparison.PairedTest = "t"
    """With --against: the paired t test, or flips, the exact test that needs more seeds."""
    digits: int = 1
    """Decimals, except in CSV."""
    safe_cells: bool = False
    """Put an apostrophe before CSV cells that a spreadsheet would take for formulas: those that begin with = + - @ and
    are no numbers."""
    out: Path | None = None
    """A file for the text, which otherwise goes to standard output."""

    def __post_init__(self):
        checks.seeds(self, "seeds")
        checks.between(self, 0, 17, "digits")
        check_safe_cells(self.safe_cells, self.format)


def results_table(arguments: list[str]) -> None:
    """Print a folder's table."""
    path, rest = split_first(arguments, "a folder of runs", "results table runs/sweep --format csv")
    options = parse(ResultsTable, "results table FOLDER", rest)
    made = make_table(select_results(store.load_results(Path(path)), options.methods, options.seeds), options)
    if options.format == "terminal" and options.out is None:
        table_console().print(table.to_rich(made, digits=options.digits))
        return
    text = format_table(made, options.format, options.digits, options.safe_cells)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text(options.out, text)


def make_table(results: list[Result], options: ResultsTable) -> Table:
    """The table that the options ask for. Raises `UserError` for what does not go together or is not there."""
    metrics = options.metrics or None
    for name in (*options.rows, *options.columns):
        if name in COUNT_KEYS or (name == "seed" and not options.per_seed):
            raise UserError(f"{name} can be turned only with --per-seed, as seed: a row is a mean over seeds")
    apart = tuple(dict.fromkeys(name for name in (*options.rows, *options.columns) if name not in DIMENSIONS))
    for name in apart:
        if all(get_setting(result, name) is None for result in results):
            raise UserError(
                f"no run says {name!r}; rows and columns take {', '.join(DIMENSIONS)} or a setting of the runs"
            )
    apart += tuple(k for k in AUTOMATIC_COLUMNS if k not in apart and len({get_setting(r, k) for r in results}) > 1)
    if options.against:
        if options.published or options.per_seed or options.cost:
            raise UserError("--against shows differences alone: leave out --published, --per-seed and --cost")
        made = paired_comparison.compare_to_baseline(results, options.against, metrics, options.test, apart)
        return pivot(made, options.rows, options.columns)
    made = summary.summarise(
        results,
        metrics,
        cost=options.cost,
        apart=apart,
        per_seed=options.per_seed,
        average=options.average,
        spread=options.spread,
    )
    if options.published:
        made = published.add_published(made, results, apart)
    return pivot(made, options.rows, options.columns)


def select_results(results: list[Result], methods: tuple[str, ...], seeds: tuple[int, ...] = ()) -> list[Result]:
    """Results of some labels and seeds. Raises `UserError` with those there are for one that is not."""
    labels, numbers = sorted({r.method for r in results}), sorted({r.seed for r in results})
    for name in methods:
        if name not in labels:
            raise UserError(f"no run is labelled {name!r}; there are {'; '.join(labels)}")
    for seed in seeds:
        if seed not in numbers:
            raise UserError(f"no run has seed {seed}; there are {'; '.join(map(str, numbers))}")
    return [r for r in results if (not methods or r.method in methods) and (not seeds or r.seed in seeds)]


def check_safe_cells(asked: bool, form: TableFormat) -> None:
    """Raise `UserError` where safe cells are asked for in a table that is no CSV."""
    if asked and form != "csv":
        raise UserError(f"safe_cells has no effect on format {form}; it is for csv")


def format_table(made: Table, form: TableFormat, digits: int, safe_cells: bool = False) -> str:
    """A table as text; for a terminal, without colours."""
    if form == "csv":
        text = table.to_csv(made)
        return table.escape_formulas(text) if safe_cells else text
    if form == "markdown":
        return table.to_markdown(made, digits=digits)
    if form == "latex":
        return table.to_latex(made, digits=digits)
    console = Console(width=UNLIMITED_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table.to_rich(made, digits=digits))
    return captured.get()
