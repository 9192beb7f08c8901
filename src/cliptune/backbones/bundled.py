"""The backbones in the package: folders with a configuration, weights, and the weights' checksum."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from cliptune.errors import UserError

if TYPE_CHECKING:  # names are listed without importing PyTorch
    from torch import Tensor

_TABLE = "token_embedding.weight"
_IDS, _ROWS = "token_embedding.ids", "token_embedding.rows"
_STD = 0.02


@dataclass(frozen=True)
class BundledBackbone:
    """A small CLIP in a folder of the package.

    Attributes:
        name: The name of the backbone and of its folder, which contains `config.json` (the keyword arguments of
            `open_clip.model.CLIP`), `weights.safetensors` and `weights.sha256`.
        trained_on: The kind of images it was trained on, as `Dataset.image_kind`.
        min_steps: The smallest number of training steps in the presets for it.
    """

    name: str
    trained_on: str
    min_steps: int = 0

    @property
    def exists(self) -> bool:
        """Whether the package contains it."""
        return (resources.files("cliptune.backbones") / self.name / "config.json").is_file()

    def config(self) -> dict:
        """The keyword arguments of `open_clip.model.CLIP`."""
        return json.loads(_read(self.name, "config.json"))

    def state_dict(self) -> dict[str, Tensor]:
        """All weights under open_clip's names, float32.

        Only embeddings of tokens that occurred in pretraining are stored; the others are fixed pseudo-random numbers.
        Raises `UserError` if the file is damaged.
        """
        stored, text = _stored(self.name), self.config()["text_cfg"]
        table = _random_rows(text["vocab_size"], text["width"])
        table[stored[_IDS].long()] = stored[_ROWS].float()
        return {name: x.float() for name, x in stored.items() if name not in (_IDS, _ROWS)} | {_TABLE: table}

    def untrained_tokens(self, ids: Iterable[int]) -> set[int]:
        """Those of `ids` that did not occur in pretraining, so that their embeddings are random; without 0, the
        padding."""
        return {int(i) for i in ids} - _trained(self.name) - {0}


_FOLDERS = (BundledBackbone("tiny", "drawings"), BundledBackbone("photo", "photographs", min_steps=100))
#: The bundled backbones by name.
BUNDLED: Mapping[str, BundledBackbone] = {own.name: own for own in _FOLDERS if own.exists}
#: Kind of images -> the name of the bundled backbone for them; the first of `BUNDLED` is for all others.
DEFAULTS: Mapping[str, str] = {own.trained_on: own.name for own in BUNDLED.values()}
#: Flags of a pretrained CLIP, for messages.
PRETRAINED_FLAGS = "--backbone ViT-B-16 --pretrained openai"
#: Stands for the bundled backbone that was trained on images like those of the data.
AUTO = "auto"


def choose_backbone(name: str, image_kind: str) -> str:
    """The name of a backbone, with `AUTO` replaced by the default for images of that kind (`Dataset.image_kind`)."""
    return DEFAULTS.get(image_kind, next(iter(BUNDLED))) if name == AUTO else name


def _read(name: str, file: str) -> bytes:
    return (resources.files("cliptune.backbones") / name / file).read_bytes()


@cache  # the bundled files never change
def _trained(name: str) -> frozenset[int]:
    return frozenset(_stored(name)[_IDS].tolist())


@cache  # as above
def _stored(name: str) -> dict[str, Tensor]:
    """The tensors of the bundled file, after a check of its SHA-256."""
    from safetensors.torch import load

    data = _read(name, "weights.safetensors")
    wanted, found = _read(name, "weights.sha256").decode("ascii").split()[0], hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise UserError(
            f"the weights of the bundled {name} backbone are damaged: SHA-256 {found[:12]}, not {wanted[:12]}; "
            f"reinstall cliptune"
        )
    return load(data)


def _random_rows(rows: int, width: int) -> Tensor:
    """Approximately normal numbers `(rows, width)` with standard deviation 0.02, the same on every machine and with
    every version of numpy."""
    import numpy as np
    import torch

    # The raw output of Philox is fixed by its definition; numpy's normal variates are not. Each word is split into four
    # 16-bit uniform numbers, whose sum is approximately normal and does not depend on the byte order.
    raw = np.random.Philox(key=49408).random_raw(rows * width)
    parts = raw.view(np.uint16).reshape(-1, 4).sum(1, dtype=np.float32)
    unit = (parts - 2 * 65535) / np.float32((4 * (65536**2 - 1) / 12) ** 0.5)
    return torch.from_numpy((unit * np.float32(_STD)).reshape(rows, width))
