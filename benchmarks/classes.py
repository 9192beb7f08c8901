"""Time and memory of a training step by the number of classes: ViT-B/16 with random weights, float32, batch 4.

    .venv/bin/python benchmarks/classes.py --out benchmarks/results/classes.json
    .venv/bin/python benchmarks/classes.py --classes 1000 --against ../other/src

Each number of classes has a process of its own, whose peak memory is measured. Times are medians; of several packages
(`--against`), alternately. The growth is a line fitted by least squares of relative errors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
SOURCES = HERE.parent / "src"
METHODS = {"coop": "CoOp, cached features", "maple": "MaPLe", "promptsrc": "PromptSRC", "dapt": "DAPT, pull-push"}


def step_of(name: str, classes: int, image_tower: bool) -> Callable[[], float]:
    """A function that computes the loss and gradients of one step, and returns the loss.

    image_tower: Whether the images pass the image tower; without it, their features stand for them.
    """
    import torch
    from workloads import PULL_PUSH, Bench, trained

    from cliptune.backbones.teacher import Teacher
    from cliptune.methods.coop import CoOp
    from cliptune.methods.dapt import Dapt
    from cliptune.methods.promptsrc import PromptSrc
    from cliptune.types import Batch, State

    bench = Bench()
    methods = {"coop": CoOp, "maple": lambda: bench.prompts, "promptsrc": PromptSrc}
    methods["dapt"] = lambda: Dapt(base=bench.prompts, compat="release")
    model, batch, state = bench.model(methods[name](), classes), bench.batch, PULL_PUSH
    generator = torch.Generator().manual_seed(0)
    if name == "promptsrc":  # its teacher's features, of 60 sentences per class, are computed before training
        text = torch.nn.functional.normalize(torch.randn(classes, bench.backbone.embed_dim, generator=generator), dim=1)
        state = State(0, 10, Teacher(bench.backbone, text))
    if not image_tower:
        features = torch.randn(len(batch.images), bench.backbone.embed_dim, generator=generator)
        batch = Batch(features, batch.labels)
    return lambda: trained(model, batch, state)


def work(name: str, classes: int, threads: int) -> None:
    """Take a step for each line of the standard input, and print its time, its loss and the peak memory so far."""
    import torch
    from measure import peak_gib, sample

    torch.set_num_threads(threads)
    step, losses = step_of(name, classes, name != "coop"), []
    for _ in sys.stdin:
        seconds, cpu, disturbed = sample(lambda: losses.append(step()))  # type: ignore[func-returns-value]
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "disturbed": disturbed, "loss": losses[-1],
                          "gib": peak_gib()}), flush=True)  # fmt: skip


def measured(name: str, classes: int, packages: dict[str, Path], steps: int, threads: int) -> dict[str, dict]:
    """Medians of `steps` steps after a first one, alternately by each package (label -> folder of its source)."""
    command = [sys.executable, __file__, "--worker", name, str(classes), "--threads", str(threads)]
    workers = {
        label: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "PYTHONPATH": str(source)})
        for label, source in packages.items()
    }  # fmt: skip
    rows: dict[str, list[dict]] = {label: [] for label in packages}
    for _ in range(steps + 1):
        for label, worker in workers.items():
            assert worker.stdin and worker.stdout
            print(file=worker.stdin, flush=True)
            rows[label].append(json.loads(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    first = next(iter(rows.values()))[0]["loss"]
    assert all(abs(own[0]["loss"] - first) <= 1e-3 * abs(first) for own in rows.values()), "losses differ"
    return {
        label: {
            "seconds": median(row["seconds"] for row in own[1:]),
            "cpu_seconds": median(row["cpu_seconds"] for row in own[1:]),
            "disturbed": sum(row["disturbed"] for row in own[1:]),
            "gib": own[-1]["gib"],
        }
        for label, own in rows.items()
    }


def fitted(points: dict[int, float]) -> dict[str, float]:
    """The line through seconds by number of classes: seconds at 0, milliseconds per class, largest relative error."""
    import numpy as np

    classes, seconds = (np.array(list(values), dtype=float) for values in (points, points.values()))
    weights = 1 / seconds
    design = np.stack([weights, classes * weights], 1)
    start, slope = np.linalg.lstsq(design, seconds * weights, rcond=None)[0]
    error = np.abs((start + slope * classes) / seconds - 1).max()
    return {"seconds_at_0": float(start), "ms_per_class": 1000 * float(slope), "largest_error": float(error)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=3, help="steps after the first one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if sys.platform == "linux" else 2)
    parser.add_argument("--against", type=Path, help="source folder of another version, timed alternately")
    parser.add_argument("--out", type=Path, help="file for the record")
    parser.add_argument("--worker", nargs=2, metavar=("METHOD", "CLASSES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], int(options.worker[1]), options.threads)
        return
    from measure import machine

    packages = {"cliptune": SOURCES} | ({"other": options.against.resolve()} if options.against else {})
    report: dict = {"machine": {**machine(), "threads": options.threads}, "methods": {}}
    for name in options.methods:
        rows = report["methods"][name] = {"classes": {}}
        for classes in options.classes:
            found = rows["classes"][classes] = measured(name, classes, packages, options.steps, options.threads)
            own = found["cliptune"]
            words = f"{own['seconds']:.3g} s ({own['cpu_seconds']:.3g} s of processor time), {own['gib']:.1f} GiB"
            if other := found.get("other"):
                ratio, cpu_ratio = (other[key] / own[key] for key in ("seconds", "cpu_seconds"))
                words += f"; other: {ratio:.2f}x ({cpu_ratio:.2f}x), {other['gib']:.1f} GiB"
            print(f"{METHODS[name]}, {classes} classes: {words}", flush=True)
            if len(rows["classes"]) > 2:
                rows["line"] = fitted({n: row["cliptune"]["seconds"] for n, row in rows["classes"].items()})
                rows["line_cpu"] = fitted({n: row["cliptune"]["cpu_seconds"] for n, row in rows["classes"].items()})
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text(json.dumps(report, indent=1) + "\n")
        if line := rows.get("line"):
            print(f"{METHODS[name]}: {line['ms_per_class']:.2f} ms per class, within {line['largest_error']:.0%}")


if __name__ == "__main__":
    main()
