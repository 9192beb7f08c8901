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
from cliptune.run_dir import find_run
from cliptune.types import Result

TableFormat = Literal["terminal", "markdown", "csv", "latex"]
#: Dimensions of every table.
DIMENSIONS = ("method", "data", "shots", "metric", "seed")
#: Settings that become a key column if runs differ in them, instead of part of the method label.
AUTOMATIC_COLUMNS = ("protocol", "fraction", "selector")


@dataclass(frozen=True)
class ResultsTable:
    """Print a table of the runs in a folder: means and standard deviations over seeds, harmonic mean of base and novel.

    Output is deterministic for given records. CSV has full precision: keys, means under the names of the metrics, then
    deviations and numbers of seeds."""

    format: TableFormat = "terminal"
    """terminal, markdown, csv or latex (booktabs)."""
    rows: tuple[str, ...] = ()
    """Dimensions in rows, in sorting order: method, data, shots, metric, or a setting (fraction, selector,
    training.epochs). Dimensions named neither here nor in --columns follow."""
    columns: tuple[str, ...] = ("metric",)
    """Dimensions in columns: metric, shots, data, or a setting. --columns shots --metrics test: a curve per row."""
    metrics: tuple[str, ...] = ()
    """Metrics, such as base novel hm base/swapped; default: those of whole test sets."""
    methods: tuple[str, ...] = ()
    """Only these methods, by their run labels; default: all."""
    seeds: tuple[int, ...] = ()
    """Only runs with these seeds; default: all."""
    cost: bool = False
    """Add trainable parameters, training time and peak memory."""
    per_seed: bool = False
    """One row per seed instead of means."""
    average: bool = True
    """Add rows with the average of each method over the datasets if there are several."""
    spread: summary.Spread = "std"
    """The number after a mean: standard deviation over seeds (ddof = 1), half-width of the 95 % confidence interval
    (Student's t), or standard error."""
    published: bool = False
    """Add published results of the same method, data, protocol, shots and backbone after each metric, and the
    difference."""
    against: str = ""
    """A baseline method: print differences from it, paired by seed, with standard errors and p-values."""
    test: paired_comparison.PairedTest = "t"
    """With --against: t (paired t test) or flips (exact sign-flip test, which needs more seeds)."""
    digits: int = 1
    """Number of decimals, except in CSV."""
    safe_cells: bool = False
    """Put an apostrophe before CSV cells that a spreadsheet would evaluate as formulas: cells other than numbers that
    begin with = + - @."""
    out: Path | None = None
    """Output file; default: standard output."""

    def __post_init__(self):
        checks.seeds(self, "seeds")
        checks.between(self, 0, 17, "digits")
        check_safe_cells(self.safe_cells, self.format)


def results_table(arguments: list[str]) -> None:
    """Print the table of a folder."""
    path, rest = split_first(arguments, "a folder of runs", "results table runs/sweep --format csv")
    options = parse(ResultsTable, "results table FOLDER", rest)
    made = make_table(select_results(store.load_results(find_run(path)), options.methods, options.seeds), options)
    if options.format == "terminal" and options.out is None:
        table_console().print(table.to_rich(made, digits=options.digits))
        return
    text = format_table(made, options.format, options.digits, options.safe_cells)
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_text(options.out, text)


def make_table(results: list[Result], options: ResultsTable) -> Table:
    """Make the table for the options. Raises `UserError` for invalid combinations and unknown names."""
    metrics = options.metrics or None
    for name in (*options.rows, *options.columns):
        if name in COUNT_KEYS or (name == "seed" and not options.per_seed):
            raise UserError(
                f"{name} cannot be a dimension, since rows are means over seeds; use --per-seed and the dimension seed"
            )
    apart = tuple(dict.fromkeys(name for name in (*options.rows, *options.columns) if name not in DIMENSIONS))
    for name in apart:
        if all(get_setting(result, name) is None for result in results):
            raise UserError(
                f"no run has the setting {name!r}; rows and columns take {', '.join(DIMENSIONS)} or a setting"
            )
    apart += tuple(k for k in AUTOMATIC_COLUMNS if k not in apart and len({get_setting(r, k) for r in results}) > 1)
    if options.against:
        if options.published or options.per_seed or options.cost:
            raise UserError("--against shows differences only: leave out --published, --per-seed and --cost")
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
    """Select results by label and seed. Raises `UserError` with the known ones for an unknown one."""
    labels, numbers = sorted({r.method for r in results}), sorted({r.seed for r in results})
    for name in methods:
        if name not in labels:
            raise UserError(f"no run has the label {name!r}; known: {'; '.join(labels)}")
    for seed in seeds:
        if seed not in numbers:
            raise UserError(f"no run has seed {seed}; known: {'; '.join(map(str, numbers))}")
    return [r for r in results if (not methods or r.method in methods) and (not seeds or r.seed in seeds)]


def check_safe_cells(safe_cells: bool, form: TableFormat) -> None:
    """Raise `UserError` if safe cells are requested for a format other than CSV."""
    if safe_cells and form != "csv":
        raise UserError(f"safe_cells has no effect on format {form}; it is for csv")


def format_table(made: Table, form: TableFormat, digits: int, safe_cells: bool = False) -> str:
    """Format a table as text, without colours for a terminal."""
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
