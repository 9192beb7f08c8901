"""Timing that detects other processes, peak memory, and the peak rate of linear layers."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
#: A disturbed sample is repeated at most `RETAKES` times, unless that would take more than `PATIENCE` seconds.
RETAKES, PATIENCE = 3, 20.0


@dataclass
class Timing:
    """Wall-clock and CPU seconds of each sample, and the number of samples that were disturbed even when repeated."""

    samples: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    disturbed: int = 0

    @property
    def seconds(self) -> float:
        return median(self.samples)

    def record(self) -> dict:
        return {"seconds": self.seconds, "cpu_seconds": median(self.cpu), **asdict(self)}


def busy() -> float | None:
    """CPU seconds of all processes since the machine started, or None if the system does not report them."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / TICKS


def sample(call: Callable[[], float]) -> tuple[float, float, bool]:
    """Wall-clock seconds, CPU seconds, and whether other processes disturbed the call.

    Threads that wait at barriers also lower the CPU share, so a low share counts only if other processes were busy at
    the same time (or if that is unknown).
    """
    others, own, start = busy(), time.process_time(), time.perf_counter()
    call()
    seconds, own = time.perf_counter() - start, time.process_time() - own
    share = own / (seconds * torch.get_num_threads())
    now = busy()
    foreign = None if now is None or others is None else (now - others - own) / (seconds * torch.get_num_threads())
    return seconds, own, share < 0.95 and (foreign is None or foreign > 0.05)


def alternate(variants: dict[str, Callable[[], float]], repeats: int, tolerance: float = 1e-3) -> dict[str, Timing]:
    """Time all variants alternately (A B A B), after an untimed round in which their results must agree up to the
    relative `tolerance`."""
    results = {name: call() for name, call in variants.items()}
    expected = next(iter(results.values()))
    for name, value in results.items():
        assert abs(value - expected) <= tolerance * abs(expected), f"{name} computed {value}, not {expected}"
    timings = {name: Timing() for name in variants}
    for _ in range(repeats):
        for name, call in variants.items():
            takes = []
            while not takes or (takes[-1][2] and len(takes) <= RETAKES and 2 * takes[-1][0] < PATIENCE):
                takes.append(sample(call))
            seconds, cpu, disturbed = min(takes, key=lambda take: (take[2], take[0]))
            timings[name].samples.append(seconds)
            timings[name].cpu.append(cpu)
            timings[name].disturbed += disturbed
    return timings


def peak_gib() -> float:
    """This process's largest resident size. Not `ru_maxrss` on Linux: a child inherits its parent's."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    except (OSError, StopIteration):
        unit = 2**30 if platform.system() == "Darwin" else 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@torch.no_grad()
def ceilings(rows: int = 796, width: int = 768) -> dict[str, float]:
    """GFLOP/s of linear layers of this size: PyTorch's, oneDNN's, and oneDNN's on packed weights."""
    best: dict[str, float] = {}
    for outputs, inputs in ((4 * width, width), (width, 4 * width), (3 * width, width)):
        x, weight = torch.randn(rows, inputs), torch.randn(outputs, inputs)
        routes: dict[str, Callable] = {"F.linear": lambda x=x, w=weight: F.linear(x, w)}
        if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
            for name, w in (("oneDNN", weight), ("oneDNN, packed", packed)):
                routes[name] = lambda x=x, w=w: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")
        for _ in range(20):
            for name, route in routes.items():
                start = time.perf_counter()
                route()
                rate = 2e-9 * rows * outputs * inputs / (time.perf_counter() - start)
                best[name] = max(best.get(name, 0.0), rate)
    return best


def machine() -> dict:
    """What the numbers depend on, without anything that identifies the machine."""
    cpu = {"model name": platform.machine()}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "cpu family", "model"):
                cpu[key.strip()] = value.strip()
    except OSError:
        pass
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "vector": torch.backends.cpu.get_cpu_capability(),
        "wait_policy": os.environ.get("OMP_WAIT_POLICY", ""),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": date.today().isoformat(),
    }
