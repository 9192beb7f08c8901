"""`cliptune run PROTOCOL`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from cliptune import config, presets, protocols, sweep
from cliptune.commands.execution import Execution, carry_out
from cliptune.commands.parse import parse, split
from cliptune.data.settings import Reading
from cliptune.errors import Unfinished
from cliptune.results import summary, table
from cliptune.types import Result

#: Variants worth a column in the terminal; the page has them all.
SCENERY = {f"{part}/{variant}" for part in ("base", "test") for variant in ("same", "swap", "gap")}


@dataclass(frozen=True)
class Sweep:
    """Run a protocol for several methods and seeds; run again, it does only what is missing."""

    methods: tuple[str, ...] = ("zeroshot", "coop", "maple", "coop+dapt", "maple+dapt")
    """Methods by name, wrappers joined by +."""
    data: str = "emoji"
    """emoji (bundled), or folder:PATH with one folder a class."""
    backbone: str = "tiny"
    """As for train."""
    pretrained: str = ""
    """As for train."""
    shots: int = 16
    """Training images a class."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """One run a seed and method."""
    epochs: int = 0
    """Epochs of every run; 0 leaves each method's preset."""
    out: Path = Path("runs/sweep")
    """One folder a method and seed."""
    preset: str = "auto"
    """As for train."""
    reading: Annotated[Reading, tyro.conf.arg(name="")] = field(default_factory=Reading)
    execution: Annotated[Execution, tyro.conf.arg(name="")] = field(default_factory=Execution)


def run(arguments: list[str]) -> None:
    """Run a protocol and print its table."""
    name, rest = split(
        arguments,
        f"a protocol ({', '.join(protocols.names())})",
        "run base-to-novel --methods coop maple+dapt",
        helped="base_to_novel",
    )
    protocols.get(name)
    options = parse(Sweep, f"run {name}", rest)
    base = {key: getattr(options, key) for key in ("data", "backbone", "pretrained", "shots", "reading")}
    base["protocol"] = name.replace("-", "_")
    runs = []
    for method in options.methods:
        one = presets.get(method, options.preset, **base)
        runs.append((method, config.with_options(one, {"epochs": options.epochs}) if options.epochs else one))
    try:
        results = carry_out(sweep.plan(runs, options.seeds, options.out), options.execution)
    except Unfinished as error:
        if error.results:
            show(error.results)
        raise
    show(results)
    Console(stderr=True, highlight=False).print(
        f"kept in {options.out}; a page with pictures: cliptune report {options.out}"
    )


def show(results: list[Result]) -> None:
    """The table of results on standard output: whole test sets, and reliance on scenery where it was measured."""
    told = [name for name in summary.metric_names(results) if summary.is_whole(name) or name in SCENERY]
    Console(file=sys.stdout, width=max(100, Console().width)).print(table.to_rich(summary.summarise(results, told)))
