"""`cliptune run PROTOCOL`."""

from __future__ import annotations

import dataclasses

from rich.console import Console

from cliptune import loggers, protocols, run_dir
from cliptune.commands.execution import run_or_list
from cliptune.commands.output import table_console
from cliptune.commands.parse import split_first
from cliptune.commands.planning import check_data, plan_runs
from cliptune.commands.sweep_options import parse_sweep
from cliptune.errors import Unfinished
from cliptune.results import aggregate, summary, table
from cliptune.results.labels import get_setting
from cliptune.results.pivot import pivot
from cliptune.types import Result

#: Metrics of backgrounds that the table in the terminal shows; the report page shows all.
BACKGROUND_METRICS = {f"{part}/{variant}" for part in ("base", "test") for variant in ("same", "swap", "gap")}


def run(arguments: list[str]) -> None:
    """Run a protocol and print its table."""
    name, rest = split_first(
        arguments,
        f"a protocol ({', '.join(protocols.names())})",
        "run base-to-novel --methods coop maple+dapt",
        help_name="base_to_novel",
    )
    protocols.get(name)
    options, flags = parse_sweep(name, rest)
    runs = [dataclasses.replace(job, loggers=options.log) for job in plan_runs(name, options, flags)]
    loggers.check_loggers(options.log)
    check_data([job for job in runs if options.execution.dry_run or not run_dir.is_done(job.folder, job.run)])
    try:
        results = run_or_list(runs, options.execution, options.out)
    except Unfinished as error:
        if error.results:
            print_tables(error.results)
        raise
    print_tables(results)
    Console(stderr=True, highlight=False).print(
        f"saved in {options.out}; a page with images: cliptune report {options.out}"
    )


def print_tables(results: list[Result]) -> None:
    """Print the table of results on standard output: whole test sets, and reliance on backgrounds if measured. A second
    table has the metrics measured during training. With one test set, several shots or fractions become columns."""
    names = summary.metric_names(results)
    whole = [name for name in names if aggregate.is_whole_test_set(name)]
    apart = [key for key in ("selector", "fraction") if len({get_setting(r, key) for r in results}) > 1]
    across = [key for key in ("shots", "fraction") if len({get_setting(r, key) for r in results}) > 1]
    if len(whole) == 1 and across:
        tables = [pivot(summary.summarise(results, whole, apart=apart), columns=("metric", across[-1]))]
    else:
        background = set() if "joint" in whole else BACKGROUND_METRICS  # a terminal has room for one of them
        tables = [summary.summarise(results, [n for n in names if n in whole or n in background], apart=apart)]
    intermediate = [name for name in names if "@" in name and "/" not in name and not name.startswith("joint")]
    if intermediate:
        tables.append(summary.summarise(results, intermediate, apart=apart))
    for made in tables:
        table_console().print(table.to_rich(made))
