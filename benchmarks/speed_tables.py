"""Markdown tables of the speed records, as README and manual quote them.

    .venv/bin/python benchmarks/speed_tables.py steps                  speed.py with one and with two threads
    .venv/bin/python benchmarks/speed_tables.py steps coop evaluation  some works
    .venv/bin/python benchmarks/speed_tables.py classes                classes.py
    .venv/bin/python benchmarks/speed_tables.py precision              low_precision.py

A ratio with a star is one of CPU times, as other processes disturbed a sample.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from classes import METHODS
from keep import RESULTS
from low_precision import CAST
from speed import LABELS
from workloads import OURS, TEXTBOOK

Table = list[Sequence[str]]


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def steps(works: Sequence[str]) -> Table:
    """Seconds with two threads, and the ratio to the textbook with one and two, by work, variant and classes."""
    one, two = (by_row(load(f"speed/threads{count}.json")) for count in (1, 2))
    table: Table = [("work", "classes", "textbook", "cliptune", "two threads", "one thread", "GiB")]
    for (work, classes, variant), row in two.items():
        if not works or work in works:
            title = LABELS[work] + variant.removeprefix(OURS)
            seconds = (f"{row[side]['seconds']:.3g} s" for side in ("textbook", "own"))
            peaks = " / ".join(f"{gib:.1f}" for gib in row["gib"])
            ratios = (ratio(rows.get((work, classes, variant))) for rows in (two, one))
            table.append((title, str(classes or ""), *seconds, *ratios, peaks))
    return table


def by_row(report: dict[str, Any]) -> dict[tuple[str, int, str], dict[str, Any]]:
    """Both timings and both peaks of each work, number of classes and variant that the textbook was timed for."""
    rows = {}
    for entry in report["workloads"]:
        for variant, own in entry["variants"].items():
            if variant != TEXTBOOK and TEXTBOOK in entry["variants"]:
                peaks = [entry["peak"][name] for name in (TEXTBOOK, variant)] if "peak" in entry else []
                row = {"own": own, "textbook": entry["variants"][TEXTBOOK], "gib": peaks}
                rows[entry["workload"], entry["classes"], variant] = row
    return rows


def ratio(row: dict[str, Any] | None) -> str:
    """The speedup; of CPU time, with a star, if other processes disturbed a sample."""
    if row is None:
        return ""
    disturbed = row["own"]["disturbed"] or row["textbook"]["disturbed"]
    key = "cpu_seconds" if disturbed else "seconds"
    return f"{row['textbook'][key] / row['own'][key]:.2g}x" + "*" * bool(disturbed)


def classes(_: Sequence[str]) -> Table:
    """Seconds of a step and peak memory by the number of classes, and what a class more costs."""
    methods = load("classes.json")["methods"]
    counts = sorted({int(count) for rows in methods.values() for count in rows["classes"]})
    table: Table = [("step", *(f"{count:,} classes" for count in counts), "ms for one more", "largest deviation")]
    for name, rows in methods.items():
        found = {int(count): row["cliptune"] for count, row in rows["classes"].items()}
        cells = (f"{found[n]['seconds']:.3g} s, {found[n]['gib']:.1f} GiB" if n in found else "–" for n in counts)
        line = rows.get("line")
        fit = (f"{line['ms_per_class']:.2g}", f"{line['largest_error']:.0%}") if line else ("–", "–")
        table.append((METHODS[name], *cells, *fit))
    return table


def precision(_: Sequence[str]) -> Table:
    """CPU time in lower precision relative to float32, and the relative difference of the results."""
    table: Table = [("step", "classes", "precision", "CPU time", "difference of the loss")]
    for entry in load("low_precision.json")["workloads"]:
        own, exact = entry["variants"], entry["values"]["32"]
        for name in own:
            if name != "32" and CAST not in name:
                time = own[name]["cpu_seconds"] / own["32"]["cpu_seconds"]
                apart = abs(entry["values"][name] - exact) / abs(exact)
                table.append((LABELS[entry["workload"]], str(entry["classes"]), name, f"{time:.2g}x", f"{apart:.2%}"))
    return table


def markdown(table: Table) -> str:
    head, *body = table
    rule = ["---" if i == 0 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


TABLES = {"steps": steps, "classes": classes, "precision": precision}

if __name__ == "__main__":
    kind, *more = sys.argv[1:]
    print(markdown(TABLES[kind](more)))
