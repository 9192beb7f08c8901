"""The commands, one file each: `get("train")` is what `cliptune train` calls with the arguments after its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

#: Commands whose file has another name than they; Python has its own use for two of them.
MODULES = {"evaluate": "train", "list": "list_", "import": "import_"}


def get(command: str) -> Callable[[list[str]], None]:
    """The function of a command."""
    file = MODULES.get(command, command)
    return getattr(importlib.import_module(f"{__name__}.{file}"), file if file.endswith("_") else command)
