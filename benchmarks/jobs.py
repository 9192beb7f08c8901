"""Time what a user waits for, each in a new process, at several sizes, and fit how the time grows.

    .venv/bin/python benchmarks/jobs.py                     small sizes, a few minutes
    .venv/bin/python benchmarks/jobs.py --only table check  some jobs
    .venv/bin/python benchmarks/jobs.py --full              a thousand images, a million files, ViT-B/16

Seconds are CPU seconds of the process and its children, which other processes disturb little, and wall-clock seconds.
The exponent is the slope of log(seconds) over log(size), after the seconds of the smallest size are subtracted from
those of the two largest ones, and their number likewise: 1 is linear. Results are added to
benchmarks/results/jobs.json; the exit code is 1 if a job grows faster than linearly.
"""

from __future__ import annotations

import compileall
import json
import math
import os
import resource
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from job_inputs import SHOTS, large_table, photo_folder, public_dataset, records
from keep import RESULTS
from measure import machine
from rich.console import Console
from rich.table import Table

import cliptune
from cliptune.files import CACHE_VARIABLE, write_json

HERE = Path(__file__).parent
#: Exponents up to this one may be noise around 1; pairs of everything would have 2.
LINEAR = 1.15
#: Least share of a job's seconds that must depend on its size; less is noise, and the exponent is not computed.
GROWING = 0.05


@dataclass(frozen=True)
class Job:
    """A job: what it does, three sizes, three larger ones, and a function of a folder and a size that makes its inputs
    and returns the arguments of Python, which are timed. `codes` are its exit codes."""

    title: str
    sizes: tuple[int, int, int]
    full: tuple[int, int, int]
    prepare: Callable[[Path, int], list[str]]
    codes: tuple[int, ...] = (0,)


def train(backbone: str, **more: Any) -> Callable[[Path, int], list[str]]:
    """Two epochs of MaPLe with DAPT on photographs, with foregrounds from Grad-CAM."""

    def prepare(folder: Path, count: int) -> list[str]:
        keywords = {
            "data": photo_folder(folder / "images", count),
            "out": str(folder / "run"),
            "backbone": backbone,
            "shots": 0,
            "epochs": 2,
            "min_steps": 0,
            "masks_from": "gradcam",
            **more,
        }
        return [str(HERE / "job_stages.py"), "maple+dapt", json.dumps(keywords)]

    return prepare


def command(text: str, make: Callable[[Path, int], str] | None = None) -> Callable[[Path, int], list[str]]:
    """A command of cliptune in which {inputs}, {folder} and {seeds} are filled in; `make` makes the inputs."""

    def prepare(folder: Path, count: int) -> list[str]:
        inputs = make(folder / "inputs", count) if make else ""
        seeds = " ".join(map(str, range(1, count + 1)))
        return ["-m", "cliptune", *text.format(inputs=inputs, folder=folder, seeds=seeds).split()]

    return prepare


DATA = "--data emoji:train_per_class=8,test_per_class=1"
JOBS = {
    "train": Job("train maple+dapt, photo backbone, images", (25, 50, 100), (100, 300, 1000), train("photo")),
    "vit": Job(
        "train maple+dapt, ViT-B/16, images",
        (4, 8, 16),
        (10, 100, 1000),
        train("ViT-B-16", pretrained="random", batch_size=4, keep="last"),  # few images leave none for validation
    ),
    "sweep": Job(
        "run few-shot, small tasks",
        (2, 6, 12),
        (10, 20, 40),
        command(f"run few-shot --methods coop --shots 1 --epochs 1 {DATA} --seeds {{seeds}} --out {{folder}}/runs"),
    ),
    "report": Job("report, records", (50, 100, 200), (50, 200, 800), command("report {inputs} --pictures 0", records)),
    "table": Job(
        "results table, records", (500, 1500, 5000), (500, 5000, 20_000), command("results table {inputs}", records)
    ),
    "check": Job(
        "data check, files",
        (1000, 10_000, 30_000),
        (1000, 10_000, 100_000),
        command("data check {inputs} eurosat", public_dataset),
        codes=(0, 1),
    ),
    "few-shot": Job(
        f"train coop on {SHOTS} shots of a table, files",
        (1000, 5000, 20_000),
        (1000, 100_000, 1_000_000),
        command(
            f"train coop --data {{inputs}} --shots {SHOTS} --backbone tiny --epochs 1 --out {{folder}}/run",
            large_table,
        ),
    ),
}


@dataclass(frozen=True)
class Options:
    """Jobs, sizes and output."""

    only: tuple[str, ...] = ()
    """Names of jobs; by default all."""
    full: bool = False
    """Larger sizes, which take an hour and up to 10 GB of memory and a million files."""
    out: Path = RESULTS / "jobs.json"


def time_job(job: Job, size: int) -> dict[str, Any]:
    """CPU and wall-clock seconds of a job at one size, and its stages if it reports them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        arguments = job.prepare(folder, size)
        environment = {**os.environ, CACHE_VARIABLE: str(folder / "cache")}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in job.codes:
            raise SystemExit(f"{job.title}, {size}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    stages = json.loads(done.stdout.splitlines()[-1]) if "job_stages.py" in arguments[0] else {}
    return {"size": size, "cpu_seconds": cpu, "seconds": wall, "stages": stages}


def exponent(samples: list[dict[str, Any]]) -> float | None:
    """The growth exponent of three samples, or None if the time hardly depends on the size."""
    (small, middle, large), sizes = (s["cpu_seconds"] for s in samples), [s["size"] for s in samples]
    if middle <= small or large - small < GROWING * large:
        return None
    return math.log((large - small) / (middle - small)) / math.log((sizes[2] - sizes[0]) / (sizes[1] - sizes[0]))


def job_rows(record: dict[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Title, sizes, CPU seconds, milliseconds for one more and exponent of a job, and the seconds of its stages at the
    largest size."""
    samples, grows = record["samples"], record["exponent"]
    one = (samples[-1]["cpu_seconds"] - samples[0]["cpu_seconds"]) / (samples[-1]["size"] - samples[0]["size"])
    sizes = [f"{sample['size']:,}" for sample in samples]
    seconds = (f"{sample['cpu_seconds']:,.1f}" for sample in samples)
    more = f"{1000 * one:,.{0 if one >= 0.01 else 2}f}"
    exponent = "–" if grows is None else f"{grows:.2f}"
    stages = samples[-1]["stages"].get("cpu", {}).items()
    return [
        (record["title"], " / ".join(sizes), " / ".join(seconds), more, exponent),
        *((f"    {stage}", sizes[-1], f"{spent:,.1f}", "", "") for stage, spent in stages),
    ]


def show(kept: dict[str, Any]) -> Table:
    """The table of all kept jobs."""
    table = Table(title="CPU seconds of whole jobs")
    for column in ("job", "sizes", "CPU s", "ms for one more", "exponent"):
        table.add_column(column, justify="left" if column == "job" else "right")
    for record in kept.values():
        for row in job_rows(record):
            table.add_row(*row)
    return table


def main(options: Options) -> None:
    """Time the jobs, keep the records and print all that are kept."""
    if unknown := set(options.only) - set(JOBS):
        raise SystemExit(f"no job {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    for folder in (*site.getsitepackages(), Path(cliptune.__file__).parent):  # as pip does when it installs
        compileall.compile_dir(folder, quiet=2)
    for name in options.only or JOBS:
        job = JOBS[name]
        samples = [time_job(job, size) for size in (job.full if options.full else job.sizes)]
        kept[name] = {"title": job.title, "samples": samples, "exponent": exponent(samples), "machine": machine()}
        write_json(options.out, kept)
    Console(width=120).print(show(kept))
    worse = [record["title"] for record in kept.values() if (record["exponent"] or 0) > LINEAR]
    if worse:
        raise SystemExit(f"the time grows faster than the size: {', '.join(worse)}")


if __name__ == "__main__":
    main(tyro.cli(Options))
