"""What was measured once on this machine, so that every later process takes the same route and gets the same digits."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable

import torch
from filelock import FileLock

from cliptune.errors import UserError
from cliptune.files import cache_folder, write_json

NAME = "measured.json"
#: Seconds another process may take to measure.
PATIENCE = 60


def remembered(what: str, measure: Callable[[], bool]) -> bool:
    """What `measure` said of `what` the first time on this machine with this PyTorch; it is kept in the user's cache
    folder, or measured again where that takes no files."""
    key = f"{what}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {platform.node()}"
    file = cache_folder() / NAME
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock"), timeout=PATIENCE):  # measurements at a time would disturb each other
            known = _known(file.read_text(encoding="utf-8") if file.is_file() else "{}")
            if key not in known:
                known[key] = measure()
                write_json(file, known)
            return known[key]
    except (OSError, NotImplementedError, UserError):
        return measure()


def _known(text: str) -> dict[str, bool]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return {k: v for k, v in said.items() if isinstance(v, bool)} if isinstance(said, dict) else {}
