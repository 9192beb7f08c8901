"""Check and time cliptune on a GPU, in less than `--minutes`.

    .venv/bin/python benchmarks/gpu.py --minutes 8

First, all recorded cases (`tests/golden`) are rebuilt on the GPU in float32 without TF32, and their largest difference
relative to the largest recorded value is kept. Then training steps and evaluation of batches are timed on ViT-B/16 and
ViT-L/14 with random weights, at 100 and 1,000 classes, in float32 without and with TF32 and in bfloat16. The share of
the peak is that of a large matrix product in the same precision. What does not fit into memory is a row that says so,
and what the time does not suffice for is counted. `--device cpu --small` tries the script without a GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from measure import machine
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from workloads import ALIGNMENT, PULL_PUSH, classnames

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.load import load_backbone
from cliptune.engine.config import TrainConfig
from cliptune.engine.optim import make_optimizer
from cliptune.methods.coop import CoOp
from cliptune.methods.dapt import Dapt
from cliptune.methods.maple import Maple
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Batch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from golden.case import recordings  # noqa: E402
from golden.check import compared  # noqa: E402

WORKS = ("coop", "maple", "dapt pull-push", "dapt alignment", "evaluation")
PRECISIONS = ("float32", "tf32", "bfloat16")
#: A row is timed for at most this long, and at most this many times.
SECONDS, REPEATS = 1.5, 10
#: Largest share of the time that the recorded cases take.
CASES_SHARE = 0.4
console = Console(stderr=True)


class Row(NamedTuple):
    """What is timed."""

    architecture: str
    work: str
    classes: int
    batch: int
    precision: str


def plan(small: bool) -> list[Row]:
    """All rows, the most usual sizes first."""
    architectures = ("tiny",) if small else ("ViT-B-16", "ViT-L-14")
    classes, batches = ((5,), (2,)) if small else ((100, 1000), (32, 4, 128))
    return [
        Row(a, work, c, b, precision)
        for b in batches
        for c in classes
        for a in architectures
        for work in WORKS
        for precision in PRECISIONS
    ]


@contextmanager
def precision(name: str, backbone: Backbone, device: torch.device) -> Iterator[None]:
    """Run the towers in a precision."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        if name == "bfloat16":
            with backbone.autocast_with(lambda: torch.autocast(device.type, torch.bfloat16)):
                yield
        else:
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def calls(row: Row, backbone: Backbone, device: torch.device) -> Callable[[], object]:
    """A training step of a row, or the evaluation of a batch with its class features known."""
    base = CoOp() if row.work == "coop" else Maple(depth=min(9, backbone.image_depth, backbone.text_depth))
    method = Dapt(base=base) if row.work.startswith("dapt") else base
    state = ALIGNMENT if row.work.endswith("alignment") else PULL_PUSH
    model = TunedModel(backbone, method, classnames(row.classes)).to(device)
    height, width = backbone.preprocess.size
    images = torch.randn(row.batch, 3, height, width, device=device)
    masks = (torch.rand(row.batch, 1, height, width, device=device) > 0.5).float()
    batch = Batch(images, torch.arange(row.batch, device=device) % row.classes, masks)
    optimizer = make_optimizer(model.learner.parameters(), TrainConfig(lr=1e-6))

    def step() -> float:
        losses = method.losses(model(method.views(batch), state), batch, state)
        optimizer.zero_grad(set_to_none=True)
        method.update(losses, list(model.learner.parameters()))
        optimizer.step()
        return sum(loss.item() for loss in losses.values())

    @torch.no_grad()
    def evaluate() -> torch.Tensor:
        return model({"image": images}).logits.argmax(1).cpu()

    model.train(row.work != "evaluation")
    return evaluate if row.work == "evaluation" else step


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Median seconds of calls, after two untimed ones. Each call ends with the result on the CPU."""
    times: list[float] = []
    call(), call()
    while len(times) < REPEATS and sum(times) < SECONDS:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # the step of the optimizer
        times.append(time.perf_counter() - start)
    return median(times)


def measured(row: Row, backbone: Backbone, device: torch.device, peaks: dict[str, float]) -> dict:
    """The record of a row."""
    cuda = device.type == "cuda"
    try:
        if cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        with precision(row.precision, backbone, device):
            call = calls(row, backbone, device)
            call()
            with FlopCounterMode(display=False) as flops:
                call()
            taken = seconds(call, device)
    except torch.OutOfMemoryError:
        return {**row._asdict(), "error": "out of memory"}
    rate = flops.get_total_flops() / taken / 1e12
    record = {"seconds": taken, "images_per_second": row.batch / taken, "tflops": rate}
    record["share_of_peak"] = rate / peaks[row.precision]
    record["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30 if cuda else None
    return {**row._asdict(), **record}


def peak(name: str, backbone: Backbone, device: torch.device, side: int) -> float:
    """TFLOP/s of a product of square matrices."""
    a, b = (torch.randn(side, side, device=device) for _ in "ab")
    if name == "bfloat16":
        a, b = a.bfloat16(), b.bfloat16()
    with precision(name, backbone, device):
        return 2e-12 * side**3 / seconds(lambda: (a @ b)[0, 0].item(), device)


def golden(folders: list[Path], device: torch.device, until: float) -> list[dict]:
    """The largest relative difference of each recorded case, or what is wrong with it."""
    records = []
    for folder in folders:
        if time.perf_counter() > until:
            records.append({"case": folder.name, "skipped": "no time left"})
            continue
        try:
            report = compared(folder, device=device)
        except Exception as error:
            torch.cuda.empty_cache()
            records.append({"case": folder.name, "error": f"{type(error).__name__}: {error}"[:300]})
        else:
            records.append({"case": folder.name, "agrees": report.passed, "largest": list(report.largest)})
        console.print(records[-1], highlight=False)
    return records


def card(device: torch.device) -> dict:
    """The name of the card and of its driver."""
    if device.type != "cuda":
        return {"name": "none"}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    about = torch.cuda.get_device_properties(device)
    return {"name": about.name, "gib": about.total_memory / 2**30, "driver": (driver or ["unknown"])[0]} | {
        "cuda": torch.version.cuda
    }


def show(report: dict) -> Table:
    wrong = [record["case"] for record in report["cases"] if not record.get("agrees")]
    title = f"{report['card']['name']}: {len(report['cases']) - len(wrong)} of {len(report['cases'])} recorded cases"
    table = Table(title=f"{title} agree{'; not ' if wrong else ''}{', '.join(wrong)}")
    for column in ("model", "work", "classes", "batch", "precision", "s", "images/s", "of peak", "GiB"):
        table.add_column(column)
    for row in report["rows"]:
        cells = [str(row[field]) for field in Row._fields]
        if "error" not in row:
            cells += [f"{row['seconds']:.3g}", f"{row['images_per_second']:.0f}", f"{row['share_of_peak']:.0%}"]
            cells += [f"{row['peak_gib']:.1f}" if row["peak_gib"] else ""]
        table.add_row(*cells, *([row["error"]] if "error" in row else []))
    table.caption = f"{report['left_out']} rows left out for lack of time" if report["left_out"] else None
    return table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8, help="stop before a row when this time has passed")
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    parser.add_argument("--small", action="store_true", help="the bundled tiny backbone, few classes and one case")
    parser.add_argument("--cases", type=Path, default=recordings(), help="folder of the recorded cases")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    options = parser.parse_args(arguments)
    device, start = options.device, time.perf_counter()
    if device.type == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here; --device cpu --small tries the script without one", file=sys.stderr)
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    folders = sorted(path.parent for path in options.cases.glob("*/case.json"))
    folders = [folder for folder in folders if not options.small or folder.name == "coop_end_ctx4_words"]
    report = {"card": card(device), "machine": machine(), "minutes": options.minutes, "small": options.small}
    report["cases"] = golden(folders, device, start + 60 * options.minutes * CASES_SHARE)
    rows, backbones = plan(options.small), {}
    for name in dict.fromkeys(row.architecture for row in rows):
        backbones[name] = (load_backbone(name, "") if options.small else load_backbone(name, "random")).to(device)
    some, side = next(iter(backbones.values())), 256 if options.small else 8192
    report["peak_tflops"] = peaks = {name: peak(name, some, device, side) for name in PRECISIONS}
    report["rows"], report["left_out"] = [], len(rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for row in rows:
        if time.perf_counter() - start < 60 * options.minutes:
            report["rows"].append(measured(row, backbones[row.architecture], device, peaks))
            report["left_out"] -= 1
            console.print(report["rows"][-1], highlight=False)
        options.out.write_text(json.dumps(report, indent=1) + "\n")  # after each row, in case of an interruption
    Console(width=140).print(show(report))
    return 0 if all(record.get("agrees") or "skipped" in record for record in report["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
