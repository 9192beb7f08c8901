"""The commands, one file each: `get("train")` is what `cliptune train` calls with the arguments after its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable

#: Commands whose file has another name than they.
FILES = {"evaluate": "train", "list": "list_"}


def get(command: str) -> Callable[[list[str]], None]:
    """The function of a command."""
    module = importlib.import_module(f"{__name__}.{FILES.get(command, command)}")
    return getattr(module, "list_" if command == "list" else command)
