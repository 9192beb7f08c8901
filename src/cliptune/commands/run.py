"""`cliptune run PROTOCOL`."""

from __future__ import annotations

from rich.console import Console

from cliptune import claims, protocols
from cliptune.commands.execution import carry_out
from cliptune.commands.output import paper
from cliptune.commands.parse import split
from cliptune.commands.planning import check_data, entries, told
from cliptune.errors import Unfinished
from cliptune.results import summary, table
from cliptune.results.pivot import pivot
from cliptune.results.variants import setting
from cliptune.types import Result

#: Variants worth a column in the terminal; the page has them all.
SCENERY = {f"{part}/{variant}" for part in ("base", "test") for variant in ("same", "swap", "gap")}


def run(arguments: list[str]) -> None:
    """Run a protocol and print its table."""
    name, rest = split(
        arguments,
        f"a protocol ({', '.join(protocols.names())})",
        "run base-to-novel --methods coop maple+dapt",
        helped="base_to_novel",
    )
    protocols.get(name)
    options, flags = told(name, rest)
    runs = entries(name, options, flags)
    check_data([entry for entry in runs if options.execution.dry_run or not claims.done(entry.folder, entry.run)])
    try:
        results = carry_out(runs, options.execution, options.out)
    except Unfinished as error:
        if error.results:
            show(error.results)
        raise
    show(results)
    Console(stderr=True, highlight=False).print(
        f"kept in {options.out}; a page with pictures: cliptune report {options.out}"
    )


def show(results: list[Result]) -> None:
    """The table of results on standard output: whole test sets, and reliance on scenery where it was measured; a second
    one of what was measured on the way. Where there is one test set, several shots or fractions stand side by side."""
    names = summary.metric_names(results)
    whole = [name for name in names if summary.is_whole(name)]
    apart = [key for key in ("selector", "fraction") if len({setting(r, key) for r in results}) > 1]
    across = [key for key in ("shots", "fraction") if len({setting(r, key) for r in results}) > 1]
    if len(whole) == 1 and across:
        tables = [pivot(summary.summarise(results, whole, apart=apart), columns=("metric", across[-1]))]
    else:
        scenery = set() if "joint" in whole else SCENERY  # a terminal has room for one of them
        tables = [summary.summarise(results, [n for n in names if n in whole or n in scenery], apart=apart)]
    on_the_way = [name for name in names if "@" in name and "/" not in name and not name.startswith("joint")]
    if on_the_way:
        tables.append(summary.summarise(results, on_the_way, apart=apart))
    for made in tables:
        paper().print(table.to_rich(made))
