"""Seconds and memory of every coreset method: 50,000 pictures, 1,000 classes, 512 numbers a feature.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/selection.py --out benchmarks/results/selection.json

Each method runs in a process of its own, on made-up features around their class's; --competing lets classes compete
(`balanced=False`), where every picture meets all others. CPU seconds are those of choosing alone, and what counts:
`seconds` on the clock are those of a machine that does other things too. Memory is the process's peak, with torch and
the signals (`start`, before choosing).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from measure import machine, peak_gib
from rich.console import Console
from rich.table import Table

from cliptune import coresets
from cliptune.coresets import Signals
from cliptune.files import write_json

NOTE = "cpu_seconds are those of one core, choosing alone; seconds are those on the clock of a machine in use by others"
#: (method, options), the methods with more than one form.
FORMS = [
    *((name, {}) for name in coresets.names() if name not in ("submodular", "uncertainty")),
    *(("submodular", {"function": f}) for f in ("facility_location", "graph_cut", "log_determinant")),
    *(("uncertainty", {"measure": m}) for m in ("least_confidence", "entropy", "margin")),
]


def pool(pictures: int, classes: int, width: int) -> tuple[Signals, torch.Tensor]:
    """Features near their class's, about as sure as CLIP; 10 epochs of right and wrong; a tenth as many held out."""
    generator = torch.Generator().manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(classes, width, generator=generator), dim=1)

    def around(labels: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(labels), width, generator=generator)
        noise = noise.mul_(3.5 * width**-0.5)
        return torch.nn.functional.normalize(noise.add_(text[labels]), dim=1)

    labels = torch.arange(pictures)[torch.randperm(pictures, generator=generator)] % classes
    held = torch.arange(max(classes, pictures // 10)) % classes
    features = around(labels)
    correct = torch.rand(10, pictures, generator=generator) < torch.linspace(0.3, 0.8, 10)[:, None]
    return Signals(features, text, 100 * features @ text.T, 100.0, correct, around(held), held), labels


def one(args: argparse.Namespace) -> dict:
    signals, labels = pool(args.pictures, args.classes, args.width)
    start = peak_gib()
    wall, cpu = time.perf_counter(), time.process_time()
    method, options = FORMS[args.form]
    chosen = coresets.select(
        method, signals, labels, args.fraction, balanced=not args.competing, variant=args.variant, **options
    )
    return {
        "method": method, **options, "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
        "start_gib": start, "peak_gib": peak_gib(), "chosen": len(chosen.indices),
    }  # fmt: skip


def form_of(row: dict) -> str:
    """The entry of FORMS that a row is of."""
    return str((row["method"], {k: row[k] for k in ("function", "measure") if k in row}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--variant", default="paper")
    parser.add_argument("--competing", action="store_true")
    parser.add_argument("--methods", nargs="*", help="these alone")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--form", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form is not None:
        print(json.dumps(one(args)))
        return
    table = Table("method", "CPU seconds", "peak GiB", "chosen", title=f"{args.pictures} x {args.classes}")
    setting = {k: getattr(args, k) for k in ("pictures", "classes", "width", "fraction", "variant", "competing")}
    kept = {}  # what an earlier call with --methods found stays
    if args.out and args.out.is_file() and (held := json.loads(args.out.read_text()))["setting"] == setting:
        kept = {form_of(row): row for row in held["methods"]}
    for form, (method, options) in enumerate(FORMS):
        if args.methods and method not in args.methods:
            continue
        command = [sys.executable, __file__, *sys.argv[1:], "--form", str(form)]
        done = subprocess.run(command, capture_output=True, text=True)
        name = " ".join((method, *options.values()))
        if done.returncode:
            row = {"method": method, **options, "failed": done.stderr.strip().splitlines()[-1]}
            table.add_row(name, "failed", row["failed"])
        else:
            row = json.loads(done.stdout)
            table.add_row(name, f"{row['cpu_seconds']:.1f}", f"{row['peak_gib']:.2f}", str(row["chosen"]))
        Console(stderr=True).print(name, {k: v for k, v in row.items() if k != "method"})
        kept[form_of(row)] = row
        if args.out:
            rows = [kept[key] for key in map(str, FORMS) if key in kept]
            write_json(args.out, {"setting": setting, "machine": machine(), "note": NOTE, "methods": rows})
    Console().print(table)


if __name__ == "__main__":
    main()
