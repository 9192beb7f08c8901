"""Names of open_clip's architectures and their pretrained tags, read without importing it, which would load PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

#: open_clip's table of tags can be read without these.
OPTIONAL_IMPORTS = ("safetensors.torch", "huggingface_hub")


def list_backbones() -> list[str]:
    """Every backbone name `load` knows; each open_clip architecture takes the pretrained tags of `tags`."""
    return ["tiny", *_architectures()]


def list_pretrained_tags(name: str) -> list[str]:
    """The pretrained tags open_clip knows for an architecture."""
    held = sys.modules.get("open_clip") or _tables()
    return held.list_pretrained_tags_by_model(name)


def _architectures() -> list[str]:
    """As `open_clip.list_models`: the configurations that describe whole models, in natural order."""
    if "open_clip" in sys.modules:
        return sys.modules["open_clip"].list_models()
    found = []
    for file in (_home() / "model_configs").glob("*.json"):
        if {"embed_dim", "vision_cfg", "text_cfg"} <= json.loads(file.read_text(encoding="utf-8")).keys():
            found.append(file.stem)
    return sorted(found, key=lambda name: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", name.lower())])


@cache
def _tables() -> Any:
    """The module `open_clip.pretrained` in a package of its own."""
    package = ModuleType("_open_clip_tables")
    package.__path__ = [str(_home())]
    held = {name: sys.modules.get(name) for name in OPTIONAL_IMPORTS}
    sys.modules[package.__name__] = package
    for name in OPTIONAL_IMPORTS:
        sys.modules[name] = None  # type: ignore[assignment]  # makes the import fail, which the module expects
    try:
        return importlib.import_module(f"{package.__name__}.pretrained")
    finally:
        for name, module in held.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _home() -> Path:
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
