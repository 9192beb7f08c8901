"""Learned tensors and what is needed to use them again, in one safetensors file of kilobytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cliptune import plain_values
from cliptune.errors import UserError, shown
from cliptune.files import write_bytes

#: The header's key, and with it the file's version.
FORMAT = "cliptune-1"
#: Where the header keeps a hash of the tensors: safetensors has none, and one wrong bit is a number like any other.
DIGEST = "sha256"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors` with the JSON `about` in the header, under a temporary name first."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry alone: safetensors writes several in random order, and equal runs shall leave equal bytes.
    header = json.dumps({**about, DIGEST: _digest(held)}, sort_keys=True)
    write_bytes(path, save(held, metadata={FORMAT: header}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and `about` of a file that `write` wrote. Raises `UserError` if it is missing, truncated or something
    else."""
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; give a run's folder or its checkpoint.safetensors")
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise UserError(
                    f"{path} is not a cliptune checkpoint (no {FORMAT!r} in its header); give a run's folder"
                )
            about = plain_values.from_json(metadata[FORMAT])
            if not isinstance(about, dict):
                raise ValueError(f"its header says {shown(about)}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about.pop(DIGEST, None) not in (None, _digest(tensors)):  # older files have none
                raise ValueError("its tensors are not those that it was written with")
            return tensors, about
    except UserError:
        raise
    except Exception as error:  # safetensors', and torch's for types of numbers that it lacks
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({reason}); train again or restore a copy"
        ) from None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def load_learner(learner: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put tensors that `read` gave into a learner; floats of another precision are converted.

    where: the file and what it should fit, as sentences name them. Raises `UserError` for other names, shapes or kinds
    of numbers, and for numbers that are not finite.
    """
    own = learner.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        raise UserError(f"{where}: it {'lacks' if name in own else 'also holds'} {shown(name)}")
    for name, place in own.items():
        found = tensors[name]
        if found.dtype != place.dtype and not (found.is_floating_point() and place.is_floating_point()):
            raise UserError(f"{where}: {name} is of type {_type(found)}, not {_type(place)}")
        if found.is_floating_point() and not found.to(place.dtype).isfinite().all():
            raise UserError(f"{where}: {name} holds numbers that are not finite; train again or restore a copy")
    try:
        learner.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise UserError(f"{where}: {str(error).splitlines()[-1].strip()}") from None


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
