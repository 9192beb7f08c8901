"""Markdown tables of the speed records, as README and manual quote them.

    .venv/bin/python benchmarks/speed_tables.py write                  make those of README and manual again
    .venv/bin/python benchmarks/speed_tables.py steps                  speed.py with one and with two threads
    .venv/bin/python benchmarks/speed_tables.py steps coop maple 100   some works and numbers of classes
    .venv/bin/python benchmarks/speed_tables.py classes                classes.py
    .venv/bin/python benchmarks/speed_tables.py precision maple        low_precision.py, some works
    .venv/bin/python benchmarks/speed_tables.py peers                  peers.py
    .venv/bin/python benchmarks/speed_tables.py jobs                   jobs.py

A ratio with a star is one of CPU times, as other processes disturbed a sample. "~" is before what was extrapolated
linearly from fewer classes.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classes import METHODS
from jobs import job_rows
from keep import RESULTS
from low_precision import CAST
from peers import PEERS
from speed import LABELS
from workloads import OURS, TEXTBOOK

ROOT = Path(__file__).parents[1]
Table = list[Sequence[str]]
#: Parts of peers.py, and what their sizes are called in its record.
PARTS = {
    "coop": "CoOp step",
    "lora": "step of low-rank terms",
    "loading": "evaluation views of JPEGs",
    "zeroshot": "zero-shot evaluation",
}
SIZES = ("model", "classes", "images")


def load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def steps(chosen: Sequence[str]) -> Table:
    """Seconds with two threads, the ratio to the textbook with two and one, peak memory of both, and the share of the
    rate of linear layers, by work, variant and number of classes."""
    one, two = (by_row(load(f"speed/threads{count}.json")) for count in (1, 2))
    works, counts = {word for word in chosen if word in LABELS}, {int(word) for word in chosen if word.isdigit()}
    head = ("work", "classes", "textbook", "cliptune", "two threads", "one thread", "GiB", "of linear layers")
    table: Table = [head]
    for (work, classes, variant), row in two.items():
        if (not works or work in works) and (not counts or classes in counts):
            title = LABELS[work] + variant.removeprefix(OURS)
            seconds = (f"{row['about']}{row['textbook']['seconds']:.3g} s", f"{row['own']['seconds']:.3g} s")
            ratios = (ratio(rows.get((work, classes, variant))) for rows in (two, one))
            table.append(
                (title, f"{classes:,}" if classes else "", *seconds, *ratios, row["gib"], f"{row['own']['share']:.0%}")
            )
    return table


def by_row(report: dict[str, Any]) -> dict[tuple[str, int, str], dict[str, Any]]:
    """Both timings and both peaks of each work, number of classes and variant. `about` is "~" if the textbook's time
    is on the line through those at fewer classes."""
    rows = {}
    for entry in report["workloads"]:
        textbook = entry["variants"].get(TEXTBOOK) or {"seconds": entry["extrapolated"], "disturbed": 0}
        about = "" if TEXTBOOK in entry["variants"] else "~"
        for variant, own in entry["variants"].items():
            if variant != TEXTBOOK:
                peaks = [entry["peak"].get(name) for name in (TEXTBOOK, variant)] if "peak" in entry else []
                gib = " / ".join("–" if peak is None else f"{peak:.1f}" for peak in peaks)
                row = {"own": own, "textbook": textbook, "about": about, "gib": gib}
                rows[entry["workload"], entry["classes"], variant] = row
    return rows


def ratio(row: dict[str, Any] | None) -> str:
    """The speedup; of CPU time, with a star, if other processes disturbed a sample."""
    if row is None:
        return ""
    disturbed = bool(row["own"]["disturbed"] or row["textbook"]["disturbed"]) and not row["about"]
    key = "cpu_seconds" if disturbed else "seconds"
    return f"{row['about']}{row['textbook'][key] / row['own'][key]:.2g}x" + "*" * disturbed


def classes(_: Sequence[str]) -> Table:
    """CPU seconds of a step and peak memory by the number of classes, and what a class more costs."""
    methods = load("classes.json")["methods"]
    counts = sorted({int(count) for rows in methods.values() for count in rows["classes"]})
    table: Table = [("step", *(f"{count:,} classes" for count in counts), "ms for one more", "largest deviation")]
    for name, rows in methods.items():
        found = {int(count): row["cliptune"] for count, row in rows["classes"].items()}
        cells = (f"{found[n]['cpu_seconds']:.3g} s, {found[n]['gib']:.1f} GiB" if n in found else "–" for n in counts)
        line = rows.get("line_cpu")
        fit = (f"{line['ms_per_class']:.2g}", f"{line['largest_error']:.0%}") if line else ("–", "–")
        table.append((METHODS[name], *cells, *fit))
    return table


def precision(works: Sequence[str]) -> Table:
    """CPU time in lower precision relative to float32, and the relative difference of the results."""
    table: Table = [("step", "classes", "precision", "CPU time", "difference of the loss")]
    for entry in load("low_precision.json")["workloads"]:
        own, exact = entry["variants"], entry["values"]["32"]
        for name in own if not works or entry["workload"] in works else ():
            if name != "32" and CAST not in name:
                time = own[name]["cpu_seconds"] / own["32"]["cpu_seconds"]
                apart = abs(entry["values"][name] - exact) / abs(exact)
                table.append((LABELS[entry["workload"]], str(entry["classes"]), name, f"{time:.2g}x", f"{apart:.2%}"))
    return table


def peers(_: Sequence[str]) -> Table:
    """Seconds of what else can be installed, those of cliptune, and the ratios of both clocks."""
    table: Table = [("work", "of", "other", "seconds", "cliptune", "ratio", "of CPU time")]
    for row in load("peers.json")["rows"]:
        name, own = PEERS[row["part"]], row["variants"]
        size = ", ".join(f"{row[key]}" if key == "model" else f"{row[key]} {key}" for key in SIZES if key in row)
        seconds = (f"{own[side]['seconds']:.3g} s" for side in (name, OURS))
        ratios = (f"{row['ratio'][key]:.2g}x" for key in ("seconds", "cpu_seconds"))
        table.append((PARTS[row["part"]], size, name, *seconds, *ratios))
    return table


def jobs(_: Sequence[str]) -> Table:
    """CPU seconds of whole jobs at three sizes, and how they grow."""
    table: Table = [("job", "sizes", "CPU seconds", "ms for one more", "exponent")]
    table += (line for record in load("jobs.json").values() for line in job_rows(record))
    return table


def markdown(table: Table) -> str:
    head, *body = table
    rule = ["---" if i == 0 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


TABLES = {"steps": steps, "classes": classes, "precision": precision, "peers": peers, "jobs": jobs}
#: A command in README or manual, and the table that follows it.
QUOTED = re.compile(r"(<!-- python benchmarks/speed_tables\.py (.*?) -->\n\n)((?:\|.*\n)*)")


def made(words: Sequence[str]) -> str:
    """The table of a command."""
    kind, *more = words
    return markdown(TABLES[kind](more)) + "\n"


def write() -> None:
    """Make the tables of README and manual again."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        text = QUOTED.sub(lambda found: found[1] + made(found[2].split()) + "\n" * (not found[3]), text)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write() if sys.argv[1] == "write" else print(made(sys.argv[1:]), end="")
