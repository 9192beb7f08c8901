"""The bundled tiny CLIP: its configuration, its weights, and the tokens it was trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from cliptune.errors import UserError

_TABLE = "token_embedding.weight"
_IDS, _ROWS = "token_embedding.ids", "token_embedding.rows"
_STD = 0.02


def config() -> dict:
    """The keyword arguments of `open_clip.model.CLIP`."""
    return json.loads((files(__name__) / "config.json").read_text("utf-8"))


def state_dict() -> dict[str, Tensor]:
    """All weights under open_clip's names, float32.

    Only embeddings of tokens that occurred in pretraining are stored; the others are fixed pseudo-random numbers.
    Raises `UserError` if the file is damaged.
    """
    state = {name: tensor.float() for name, tensor in _stored().items() if name not in (_IDS, _ROWS)}
    text = config()["text_cfg"]
    table = _random_rows(text["vocab_size"], text["width"])
    table[_stored()[_IDS].long()] = _stored()[_ROWS].float()
    return {**state, _TABLE: table}


def untrained_tokens(ids: Iterable[int]) -> set[int]:
    """Those of `ids` that did not occur in pretraining, so that their embeddings are random; without 0, the padding."""
    return {int(i) for i in ids} - _trained() - {0}


@cache  # the bundled file never changes
def _trained() -> frozenset[int]:
    return frozenset(_stored()[_IDS].tolist())


@cache  # as above
def _stored() -> dict[str, Tensor]:
    """The tensors of the bundled file, after a check of its SHA-256."""
    folder = files(__name__)
    data = (folder / "weights.safetensors").read_bytes()
    wanted, found = (folder / "weights.sha256").read_text("ascii").split()[0], hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise UserError(f"the bundled weights are damaged: SHA-256 {found[:12]}, not {wanted[:12]}; reinstall cliptune")
    return load(data)


def _random_rows(rows: int, width: int) -> Tensor:
    """Approximately normal numbers `(rows, width)` with standard deviation 0.02, the same on every machine and with
    every version of numpy."""
    # The raw output of Philox is fixed by its definition; numpy's normal variates are not. Each word is split into four
    # 16-bit uniform numbers, whose sum is approximately normal and does not depend on the byte order.
    raw = np.random.Philox(key=49408).random_raw(rows * width)
    parts = raw.view(np.uint16).reshape(-1, 4).sum(1, dtype=np.float32)
    unit = (parts - 2 * 65535) / np.float32((4 * (65536**2 - 1) / 12) ** 0.5)
    return torch.from_numpy((unit * np.float32(_STD)).reshape(rows, width))
