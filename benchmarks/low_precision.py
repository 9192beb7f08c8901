"""Time per step of cliptune in float32 and in lower precision, and how far results differ.

    .venv/bin/python benchmarks/low_precision.py --out benchmarks/results/low_precision.json

All variants run alternately in one process: float32, lower precision with one copy of the frozen weights, and lower
precision where weights are cast in every pass of a tower, as autocast does. Ratios are those of CPU time, which other
processes hardly change.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from measure import alternate, machine
from rich.console import Console
from rich.table import Table
from workloads import OURS, Bench

from cliptune.backbones.backbone import Backbone
from cliptune.backbones.frozen_linear import cpu_computes_in
from cliptune.backbones.frozen_tensor import FrozenTensor
from cliptune.backbones.load import load_backbone

HERE = Path(__file__).parent
DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}
WORKLOADS = (("maple", 10), ("maple", 100), ("pull-push", 10), ("alignment", 10), ("evaluation", 100))
CAST = "cast in every pass"
#: Relative difference of losses up to which variants compute the same.
TOLERANCE = 0.05


@contextmanager
def cast_in_every_pass(backbone: Backbone) -> Iterator[None]:
    """Keep no copies of frozen tensors in lower precision, and pack none."""
    blocks = [*backbone.blocks("text"), *backbone.blocks("image")]
    layers: list[Any] = [getattr(block, name) for block in blocks for name in ("qkv", "q", "kv", "out", "fc", "proj")]
    packs, kept = [layer.onednn for layer in layers], FrozenTensor.to
    for layer in layers:
        layer.onednn = frozenset()
    FrozenTensor.to = lambda self, dtype: self.tensor.to(dtype)  # type: ignore[method-assign]
    try:
        yield
    finally:
        FrozenTensor.to = kept  # type: ignore[method-assign]
        for layer, own in zip(layers, packs, strict=True):
            layer.onednn = own


def variants(bench: Bench, name: str, classes: int, precision: str) -> dict[str, Callable[[], float]]:
    """Calls that do the work once and return a number to compare."""
    exact = bench.variants(name, classes)[OURS]

    def low() -> float:
        with bench.backbone.autocast_with(lambda: torch.autocast("cpu", DTYPES[precision])):
            return exact()

    def cast() -> float:
        with cast_in_every_pass(bench.backbone):
            return low()

    return {"32": exact, precision: low, f"{precision}, {CAST}": cast}


@torch.no_grad()
def differences(bench: Bench, classes: int, precision: str) -> dict[str, float]:
    """Largest differences of MaPLe's cosines and logits from float32, and the share of images with another class."""
    model = bench.model(bench.prompts, classes).eval()
    exact = model({"image": bench.images}).logits
    model.eval()  # discards the text features
    with bench.backbone.autocast_with(lambda: torch.autocast("cpu", DTYPES[precision])):
        low = model({"image": bench.images}).logits
    largest = (low - exact).abs().max().item()
    return {
        "logits": largest,
        "cosines": largest / bench.backbone.logit_scale.item(),
        "other class": (low.argmax(1) != exact.argmax(1)).float().mean().item(),
    }


def instructions() -> dict[str, bool]:
    """Whether the processor computes in lower precision itself."""
    file = Path("/proc/cpuinfo")
    return {
        "bfloat16": cpu_computes_in(torch.bfloat16),
        "float16": cpu_computes_in(torch.float16),
        "amx": file.is_file() and "amx_bf16" in file.read_text(encoding="utf-8"),
    }


def show(report: dict) -> Table:
    table = Table(title=f"{report['backbone']}, batch 4, {report['machine']['threads']} threads; CPU seconds")
    names = list(report["workloads"][0]["variants"])
    for column in ("work", "classes", *names, f"32 / {names[1]}", "copies"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for entry in report["workloads"]:
        seconds = [timing["cpu_seconds"] for timing in entry["variants"].values()]
        exact, low, cast = seconds
        ratios = (f"{exact / low:.2f}x", f"{cast / low:.2f}x")
        table.add_row(entry["workload"], str(entry["classes"]), *(f"{s:.3g}" for s in seconds), *ratios)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=DTYPES, default="bf16")
    parser.add_argument("--backbone", default="ViT-B-16", help="ViT-B-16 has random weights")
    parser.add_argument("--steps", type=int, default=3, help="samples of each variant")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", choices=[name for name, _ in WORKLOADS], default=None)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "low_precision.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backbone = load_backbone(options.backbone, "random" if options.backbone == "ViT-B-16" else "")
    bench = Bench(backbone, depth=min(9, backbone.text_depth, backbone.image_depth))
    report: dict[str, Any] = {
        "backbone": backbone.name, "machine": machine() | {"instructions": instructions()}, "workloads": [],
    }  # fmt: skip
    for name, classes in WORKLOADS:
        if options.only and name not in options.only:
            continue
        calls = variants(bench, name, classes, options.precision)
        values = {variant: call() for variant, call in calls.items()}
        timings = alternate(calls, options.steps, tolerance=TOLERANCE)
        report["workloads"].append(
            {
                "workload": name,
                "classes": classes,
                "values": values,
                "variants": {variant: timing.record() for variant, timing in timings.items()},
            }
        )
        Console(stderr=True).print(f"{name} {classes}: {values}", highlight=False)
        report["differences"] = report.get("differences") or differences(bench, 100, options.precision)
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    Console(width=120).print(show(report))


if __name__ == "__main__":
    main()
