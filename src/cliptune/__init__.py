"""Prompt tuning of CLIP-like vision-language models.

>>> import cliptune as ct
>>> run = ct.train("maple+dapt", data="folder:photos", shots=16)     # doctest: +SKIP
>>> run.evaluate(); run.predict("cat.jpg"); run.save("my-model")     # doctest: +SKIP
>>> ct.load("my-model").with_classes(["cat", "dog"])                  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from cliptune.version import __version__ as __version__

if TYPE_CHECKING:
    from cliptune.api import import_checkpoint, train
    from cliptune.backbones.load import load_backbone as load_backbone
    from cliptune.data.custom.common.torch_dataset import from_torch
    from cliptune.data.sources import get as open_dataset
    from cliptune.engine.progress import ProgressBar
    from cliptune.errors import UserError
    from cliptune.selection.auto import auto
    from cliptune.tuned import Tuned, load
    from cliptune.tuning.api import tune

__all__ = [
    "ProgressBar",
    "Tuned",
    "UserError",
    "auto",
    "from_torch",
    "import_checkpoint",
    "load",
    "load_backbone",
    "open_dataset",
    "train",
    "tune",
]

#: Public name -> module and attribute, imported on first use so that `import cliptune` stays fast.
_HOMES = {
    "ProgressBar": ("cliptune.engine.progress", "ProgressBar"),
    "Tuned": ("cliptune.tuned", "Tuned"),
    "UserError": ("cliptune.errors", "UserError"),
    "auto": ("cliptune.selection.auto", "auto"),
    "from_torch": ("cliptune.data.custom.common.torch_dataset", "from_torch"),
    "import_checkpoint": ("cliptune.api", "import_checkpoint"),
    "load": ("cliptune.tuned", "load"),
    "load_backbone": ("cliptune.backbones.load", "load_backbone"),
    "open_dataset": ("cliptune.data.sources", "get"),
    "train": ("cliptune.api", "train"),
    "tune": ("cliptune.tuning.api", "tune"),
}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'cliptune' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
