"""Provenance of a result: versions, fingerprints of weights and data, memory."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cliptune.config import RunConfig, fingerprint, method_to_dict
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Task
from cliptune.version import __version__


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak that `peak_memory` reports, if the system supports it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """Peak memory in MiB of the accelerator, or of this process on a CPU, since `reset_peak_memory` or the start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return float(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20


class CostMeter:
    """Measures the cost of a run: time from construction to `stop`, peak memory from construction to `cost`.

    device: The device whose memory is measured.
    """

    def __init__(self, device: torch.device):
        self._device, self._seconds, self._cpu_seconds = device, 0.0, 0.0
        self._start, self._cpu_start = time.perf_counter(), time.process_time()
        reset_peak_memory(device)

    def stop(self) -> None:
        """Stop the clocks."""
        self._seconds = time.perf_counter() - self._start
        self._cpu_seconds = time.process_time() - self._cpu_start

    def cost(self, model: TunedModel) -> dict[str, float]:
        """Entries for the record: seconds, processor seconds, number of trainable parameters, peak memory in MiB."""
        return {
            "seconds": self._seconds,
            "cpu_seconds": self._cpu_seconds,
            "parameters": float(sum(p.numel() for p in model.learner.parameters() if p.requires_grad)),
            "peak_memory_mib": peak_memory(self._device),
        }


def describe_run(run: RunConfig, model: TunedModel, task: Task) -> Mapping[str, Any]:
    """Entries for the record: fingerprints of configuration, backbone and data, versions, and the device.

    "trained" is the method of the last training stage if it differs from the run's, as after DPL's search. "pool" is
    True if training used all images of a pool without labels instead of the shots. "transductive" is True if training
    saw test classes or targets without labels. "epoch_chosen_on" names the test set by which the epoch was chosen.
    """
    packages = ("torch", "torchvision", "open_clip_torch")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "config_fingerprint": fingerprint(run),
        "backbone": model.backbone.name,
        "backbone_fingerprint": model.backbone.fingerprints.weights,
        "backbone_settings": model.backbone.fingerprints.backbone,
        "data_fingerprint": data_fingerprint(task),
        "test_images": {name: len(test.examples) for name, test in task.tests.items()},
        "versions": {"cliptune": __version__, **versions, "python": platform.python_version()},
        "device": str(model.backbone.logit_scale.device),
        "linear_backend": model.backbone.linear_backend,
        **({"pool": True} if task.pool else {}),
        **({"transductive": True} if task.transductive else {}),
        **({"epoch_chosen_on": task.chosen_on} if task.chosen_on else {}),
        **({} if model.method == run.method else {"trained": method_to_dict(model.method)}),
    }


def data_fingerprint(task: Task) -> str:
    """Short hash of the training and test examples and the class names."""
    content = [
        [(e.key, e.label, e.weight) if e.weight != 1 else (e.key, e.label) for e in task.train],
        {k: [(e.key, e.label) for e in t.examples] for k, t in task.tests.items()},
    ]
    return hashlib.sha256(json.dumps([content, list(task.classnames)]).encode()).hexdigest()[:12]
