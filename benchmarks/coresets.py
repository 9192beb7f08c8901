"""CPU time and memory of every coreset method: 50,000 images, 1,000 classes, features of width 512.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/coresets.py --out benchmarks/results/coresets.json

Each method runs in its own process, on random features around those of their class. CPU seconds are those of the
selection alone; wall-clock `seconds` depend on other load. Memory is the peak of the process, including torch and the
signals; `start_gib` is that before the selection.
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

NOTE = "cpu_seconds: CPU time of the selection on one core; seconds: wall-clock time on a shared machine"
#: (method, options): every variant of every method.
FORMS = [
    *((name, {}) for name in coresets.names() if name not in ("submodular", "uncertainty")),
    *(("submodular", {"function": f}) for f in ("facility_location", "graph_cut", "log_determinant")),
    *(("uncertainty", {"measure": m}) for m in ("least_confidence", "entropy", "margin")),
]


def pool(images: int, classes: int, width: int) -> tuple[Signals, torch.Tensor]:
    """Features near those of their class, with CLIP-like confidence; 10 epochs of random correctness; validation images
    a tenth as many."""
    generator = torch.Generator().manual_seed(0)
    text = torch.nn.functional.normalize(torch.randn(classes, width, generator=generator), dim=1)

    def around(labels: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(labels), width, generator=generator)
        noise = noise.mul_(3.5 * width**-0.5)
        return torch.nn.functional.normalize(noise.add_(text[labels]), dim=1)

    labels = torch.arange(images)[torch.randperm(images, generator=generator)] % classes
    val_labels = torch.arange(max(classes, images // 10)) % classes
    features = around(labels)
    correct = torch.rand(10, images, generator=generator) < torch.linspace(0.3, 0.8, 10)[:, None]
    return Signals(features, text, 100 * features @ text.T, 100.0, correct, around(val_labels), val_labels), labels


def measure_form(args: argparse.Namespace) -> dict:
    """Run one entry of FORMS in this process."""
    signals, labels = pool(args.images, args.classes, args.width)
    start = peak_gib()
    wall, cpu = time.perf_counter(), time.process_time()
    method, options = FORMS[args.form]
    selection = coresets.select(method, signals, labels, args.fraction, variant=args.variant, **options)
    return {
        "method": method, **options, "seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
        "start_gib": start, "peak_gib": peak_gib(), "chosen": len(selection.indices),
    }  # fmt: skip


def form_of(row: dict) -> str:
    """The entry of FORMS that a row belongs to."""
    return str((row["method"], {k: row[k] for k in ("function", "measure") if k in row}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--variant", default="paper")
    parser.add_argument("--methods", nargs="*", help="only these; rows of an earlier call with --out stay")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--form", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.form is not None:
        print(json.dumps(measure_form(args)))
        return
    table = Table(
        "method", "CPU seconds", "peak GiB", "selected", title=f"{args.images} images, {args.classes} classes"
    )
    setting = {k: getattr(args, k) for k in ("images", "classes", "width", "fraction", "variant")}
    rows = {}
    if args.out and args.out.is_file() and (earlier := json.loads(args.out.read_text()))["setting"] == setting:
        rows = {form_of(row): row for row in earlier["methods"]}
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
        rows[form_of(row)] = row
        if args.out:
            ordered = [rows[key] for key in map(str, FORMS) if key in rows]
            write_json(args.out, {"setting": setting, "machine": machine(), "note": NOTE, "methods": ordered})
    Console().print(table)


if __name__ == "__main__":
    main()
