"""Memory of the machine or the GPU, for decisions that must not depend on what else runs at the moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

#: Assumed where the system does not say how much it has, as on Windows.
UNKNOWN = 8 << 30


@cache
def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device, free or not. Of a CPU, or a GPU without memory of its own: the machine's, or what
    control groups (containers, job schedulers) grant this process of it."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return min([limit for limit in (_physical_memory(), *cgroup_limits()) if limit], default=UNKNOWN)


def _physical_memory() -> int:
    """Bytes of the machine's memory, 0 if unknown."""
    try:
        return max(0, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return 0


def cgroup_limits(process: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Memory limits of this process's control groups and those above them, of version 1 or 2. None elsewhere than on
    Linux."""
    with suppress(OSError, ValueError):
        for line in process.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                base, name = root, "memory.max"
            elif "memory" in controllers.split(","):
                base, name = root / "memory", "memory.limit_in_bytes"
            else:
                continue
            parts = path.strip("/").split("/")
            for depth in range(len(parts) + 1):
                with suppress(OSError, ValueError):  # a group that this container does not see, or "max"
                    yield int(base.joinpath(*parts[:depth], name).read_text())
