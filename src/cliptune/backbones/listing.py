"""Names of open_clip's architectures and their pretrained tags, without importing open_clip, which imports PyTorch."""

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

from cliptune.backbones.bundled import BUNDLED

#: Optional imports of `open_clip.pretrained`, which are blocked to save time.
OPTIONAL_IMPORTS = ("safetensors.torch", "huggingface_hub")


def list_backbones() -> list[str]:
    """The names that `load_backbone` accepts: the bundled backbones and open_clip's architectures (see
    `list_pretrained_tags`)."""
    return [*BUNDLED, *list_architectures()]


def list_pretrained_tags(name: str) -> list[str]:
    """The pretrained tags open_clip knows for an architecture."""
    return (sys.modules.get("open_clip") or _pretrained_module()).list_pretrained_tags_by_model(name)


def list_architectures() -> list[str]:
    """The same as `open_clip.list_models()`: the configurations of whole models, in natural order."""
    if "open_clip" in sys.modules:
        return sys.modules["open_clip"].list_models()
    found = []
    for file in (_home() / "model_configs").glob("*.json"):
        if {"embed_dim", "vision_cfg", "text_cfg"} <= json.loads(file.read_text(encoding="utf-8")).keys():
            found.append(file.stem)
    return sorted(found, key=lambda name: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", name.lower())])


@cache  # the installed package does not change
def _pretrained_module() -> Any:
    """The module `open_clip.pretrained`, imported without its parent package."""
    package = ModuleType("_open_clip_tables")
    package.__path__ = [str(_home())]
    loaded = {name: sys.modules.get(name) for name in OPTIONAL_IMPORTS}
    sys.modules[package.__name__] = package
    for name in OPTIONAL_IMPORTS:
        sys.modules[name] = None  # type: ignore[assignment]  # the import fails, which the module handles
    try:
        return importlib.import_module(f"{package.__name__}.pretrained")
    finally:
        for name, module in loaded.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


def _home() -> Path:
    spec = importlib.util.find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent
