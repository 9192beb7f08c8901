"""The embedded CLIP: its configuration, its weights, and which tokens it was trained on."""

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
    """All weights in open_clip's names, float32.

    Only the token rows that pretraining used are stored; the others are a fixed pseudo-random fill.
    Raises `UserError` when the file is not the one that was shipped.
    """
    state = {name: tensor.float() for name, tensor in _stored().items() if name not in (_IDS, _ROWS)}
    text = config()["text_cfg"]
    table = _fill(text["vocab_size"], text["width"])
    table[_stored()[_IDS].long()] = _stored()[_ROWS].float()
    return {**state, _TABLE: table}


def untrained_tokens(ids: Iterable[int]) -> set[int]:
    """The token ids among `ids` that pretraining never saw: they mean nothing to this model. 0 pads and is left out."""
    return {int(i) for i in ids} - _trained() - {0}


@cache
def _trained() -> frozenset[int]:
    return frozenset(_stored()[_IDS].tolist())


@cache
def _stored() -> dict[str, Tensor]:
    """The tensors of the shipped file, verified."""
    folder = files(__name__)
    data = (folder / "weights.safetensors").read_bytes()
    wanted, found = (folder / "weights.sha256").read_text("ascii").split()[0], hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise UserError(
            f"the embedded weights are damaged: SHA-256 {found[:12]}, not {wanted[:12]}; reinstall cliptune"
        )
    return load(data)


def _fill(rows: int, width: int) -> Tensor:
    """`(rows, width)` of about normal numbers with standard deviation .02, alike on every machine and numpy version."""
    # Philox's raw words are fixed by its definition, numpy's normal variates are not. Each word is four 16-bit
    # uniforms, whose sum is near enough to normal; the sum does not depend on the order of bytes.
    raw = np.random.Philox(key=49408).random_raw(rows * width)
    parts = raw.view(np.uint16).reshape(-1, 4).sum(1, dtype=np.float32)
    unit = (parts - 2 * 65535) / np.float32((4 * (65536**2 - 1) / 12) ** 0.5)
    return torch.from_numpy((unit * np.float32(_STD)).reshape(rows, width))
