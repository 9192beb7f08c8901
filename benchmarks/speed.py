"""Time per step of cliptune and of the textbook computation (`tests/textbook.py`), on ViT-B/16 in float32.

    .venv/bin/python benchmarks/speed.py                       all threads: results/speed/threads2.json on two cores
    .venv/bin/python benchmarks/speed.py --threads 1           results/speed/threads1.json

Both run alternately in one process. `speed_tables.py` prints the tables of the manual from the records. The table of
this script shows medians and their ratio, the peak memory of a fresh process for each, and the share of the rate of
linear layers alone. Run it on a quiet machine: samples that other processes disturb are repeated; if that does not
help, the ratio is that of CPU times and has a star.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from flops import least_work
from measure import alternate, ceilings, machine, peak_gib
from rich.console import Console
from rich.table import Table
from workloads import CACHED, OURS, TEXTBOOK, Bench

LABELS = {
    "coop": "CoOp step",
    "maple": "MaPLe step",
    "promptsrc": "PromptSRC step",
    "pull-push": "DAPT step, pull-push",
    "alignment": "DAPT step, alignment",
    "evaluation": "evaluation, one batch",
    "text": "text features",
    "gradcam": "Grad-CAM masks",
    "vision": "vision forward",
}
#: (workload, variant, classes) -> ratio to reach.
TARGETS = {
    ("coop", OURS, 10): 3.7, ("coop", OURS, 100): 13, ("coop", CACHED, 10): 25, ("coop", CACHED, 100): 31,
    ("maple", OURS, 10): 2.6, ("maple", OURS, 100): 8, ("maple", OURS, 1000): 16,
    ("pull-push", OURS, 10): 3.7, ("pull-push", OURS, 100): 6.8,
    ("alignment", OURS, 10): 3.3, ("alignment", OURS, 100): 5.9,
    ("evaluation", OURS, 100): 2.4, ("evaluation", OURS, 1000): 12, ("gradcam", OURS, 10): 12,
}  # fmt: skip
#: Beyond these numbers of classes, the textbook's step needs too much memory; its time is extrapolated linearly.
TEXTBOOK_FITS = 400
#: Training steps, whose peak memory is measured as well, from 100 classes on.
STEPS = ("coop", "maple", "promptsrc", "pull-push", "alignment")
HERE = Path(__file__).parent
console = Console(stderr=True)


def plan(classes: list[int]) -> list[tuple[str, int]]:
    """Workloads and numbers of classes: steps and evaluation by the number of classes, the others once."""
    few, many = min(classes), max(c for c in classes if c <= 100)
    once = [("vision", 0), ("gradcam", few), ("text", many)]
    steps = [(name, c) for name in STEPS for c in classes]
    return once + steps + [("evaluation", c) for c in sorted({many, max(classes)})]


def timed(bench: Bench, name: str, classes: int, steps: int) -> dict:
    """Timings of one workload by variant; slow ones get three samples, and one with many classes."""
    variants = bench.variants(name, classes)
    if classes > TEXTBOOK_FITS and name != "evaluation":
        variants.pop(TEXTBOOK)
    slow = name in ("evaluation", "text", "pull-push", "alignment") or classes >= 50
    timings = alternate(variants, 1 if classes > 100 else min(steps, 3) if slow else steps)
    return {variant: timing.record() for variant, timing in timings.items()}


def extrapolated(entries: list[dict], name: str, classes: int) -> float | None:
    """The textbook's seconds at `classes`, on the line through its two largest measured numbers of classes."""
    known = [(e["classes"], e["variants"][TEXTBOOK]["seconds"]) for e in entries if e["workload"] == name]
    if len(known) < 2:
        return None
    (c0, t0), (c1, t1) = known[-2:]
    return t1 + (classes - c1) * (t1 - t0) / (c1 - c0)


def memory(name: str, variant: str, classes: int) -> float:
    """Peak GiB of a fresh process that does the work once."""
    arguments = ["--peak", name, variant, str(classes), "--threads", str(torch.get_num_threads())]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout)


def shares(bench: Bench, entries: list[dict], ceiling: float) -> None:
    """Add the least work and the share of the rate of linear layers at which it is done."""
    for entry in entries:
        for variant, timing in entry["variants"].items():
            if variant != TEXTBOOK:
                timing["gflop"] = least_work(bench, entry["workload"], variant, entry["classes"])
                lasted = timing["cpu_seconds"] / torch.get_num_threads() if timing["disturbed"] else timing["seconds"]
                timing["share"] = timing["gflop"] / lasted / ceiling


def show(report: dict) -> Table:
    table = Table(title="ViT-B/16, float32, batch 4, random weights; seconds are medians, memory is the peak in GiB")
    for column in ("work", "classes", "textbook", "cliptune", "ratio", "target", "GiB", "of ceiling"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for entry in report["workloads"]:
        reference = entry["variants"].get(TEXTBOOK)
        base = reference["seconds"] if reference else entry.get("extrapolated")
        for variant, timing in entry["variants"].items():
            if variant == TEXTBOOK:
                continue
            target = TARGETS.get((entry["workload"], variant, entry["classes"]))
            star = "*" if timing["disturbed"] or (reference and reference["disturbed"]) else ""
            ratio = base / timing["seconds"] if base else 0.0
            if star and reference:
                ratio = reference["cpu_seconds"] / timing["cpu_seconds"]
            peaks = [entry["peak"].get(v) for v in (TEXTBOOK, variant)] if "peak" in entry else []
            table.add_row(
                LABELS[entry["workload"]] + variant.removeprefix(OURS),
                str(entry["classes"] or ""),
                f"{'' if reference else '~'}{base:.3g} s" if base else "",
                f"{timing['seconds']:.3g} s",
                f"{ratio:.1f}x{star}" if ratio else "",
                f"{target:g}x" if target else "",
                " / ".join("-" if p is None else f"{p:.1f}" for p in peaks),
                f"{timing['share']:.0%}",
            )
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in report["ceilings"].items())
    table.caption = f"{report['machine']['threads']} threads; GFLOP/s of linear layers: {rates}"
    return table


def earlier(out: Path, only: list[str]) -> tuple[list[dict], dict[str, float]]:
    """Entries and rates of a record of this processor, without the workloads to be measured now."""
    report = json.loads(out.read_text()) if out.is_file() else {}
    if not report or any(report["machine"][key] != machine()[key] for key in ("cpu", "threads", "torch")):
        return [], {}
    return [entry for entry in report["workloads"] if entry["workload"] not in only], report["ceilings"]


def write_report(out: Path, bench: Bench, before: dict[str, float], entries: list[dict]) -> dict:
    """The report so far, written to `out`."""
    rates = {name: max(rate, before.get(name, 0.0)) for name, rate in ceilings().items()}
    shares(bench, entries, max(rates.values()))
    order = list(LABELS)
    report = {
        "machine": machine(),
        "linear_backend": bench.backbone.linear_backend,
        "ceilings": rates,
        "workloads": sorted(entries, key=lambda entry: (order.index(entry["workload"]), entry["classes"])),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--full", action="store_true", help="400 and 1000 classes as well (slow; the textbook at 400)")
    parser.add_argument("--steps", type=int, default=5, help="samples of the quick workloads; slow ones take 3")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="file of the record, by default results/speed/threadsN.json")
    parser.add_argument("--only", nargs="+", choices=LABELS, default=list(LABELS), help="others are kept in the record")
    parser.add_argument("--no-memory", action="store_true", help="skip the processes that measure memory")
    parser.add_argument("--peak", nargs=3, metavar=("WORKLOAD", "VARIANT", "CLASSES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    out = options.out or HERE / "results" / "speed" / f"threads{options.threads}.json"
    bench = Bench()
    if options.peak:
        name, variant, classes = options.peak
        bench.variants(name, int(classes))[variant]()
        print(peak_gib())
        return
    classes = sorted({*options.classes, *([400, 1000] if options.full else [])})
    (entries, before), report = earlier(out, options.only), None
    for name, count in plan(classes):
        if name not in options.only:
            continue
        entry: dict = {"workload": name, "classes": count, "variants": timed(bench, name, count, options.steps)}
        if TEXTBOOK not in entry["variants"]:
            entry["extrapolated"] = extrapolated(entries, name, count)
        if not options.no_memory and name in STEPS and count >= 100:
            entry["peak"] = {variant: memory(name, variant, count) for variant in entry["variants"]}
        entries.append(entry)
        times = ", ".join(f"{variant} {t['seconds']:.3g} s" for variant, t in entry["variants"].items())
        console.print(f"{LABELS[name]} {count or ''}: {times}", highlight=False)
        report = write_report(out, bench, before, entries)  # after each workload, in case of an interruption
        before = report["ceilings"]
    if report:
        Console(width=120).print(show(report))


if __name__ == "__main__":
    main()
