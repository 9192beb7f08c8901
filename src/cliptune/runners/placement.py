"""Where runs or trials are executed: the options of the runners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from cliptune import checks, runners
from cliptune.errors import UserError
from cliptune.runners.runner import Runner


@dataclass(frozen=True)
class Placement:
    """The runner and its options."""

    runner: Literal["local", "ray"] = "local"
    """local: on this machine. ray: on a Ray cluster (pip install "cliptune[ray]")."""
    address: str = ""
    """ray: auto or HOST:PORT joins a running cluster, local (the default) starts one on this machine."""
    cpus_per_task: float = 0
    """ray: CPU cores per run or trial; 0 means one."""
    gpus_per_task: float = 0
    """ray: GPUs per run or trial; 0.5 lets two share one."""

    def __post_init__(self):
        checks.at_least(self, 0, "cpus_per_task", "gpus_per_task")
        if self.runner == "local":
            for name in ("address", "cpus_per_task", "gpus_per_task"):
                if getattr(self, name):
                    raise UserError(f"--{name.replace('_', '-')} is for --runner ray; the local runner sets it itself")

    def build(self, workers: int) -> Runner:
        """The runner. workers: Number of tasks at a time, 0 for the default of the runner."""
        options: dict[str, Any] = {"workers": workers} if workers else {}
        for name in ("address", "cpus_per_task", "gpus_per_task"):
            if getattr(self, name):
                options[name] = getattr(self, name)
        return runners.get(self.runner)(**options)
