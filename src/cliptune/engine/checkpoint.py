"""Checkpoints: learned tensors in a safetensors file of kilobytes, with metadata as JSON in its header."""

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

#: Key of the metadata in the header; also the version of the format.
FORMAT = "cliptune-1"
#: Key of the tensors' SHA-256 in the metadata: safetensors has no checksum, and a flipped bit is a valid number.
DIGEST = "sha256"


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors`, with `about` as JSON in the header. The file is replaced atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # A single entry: safetensors writes several in random order, but equal runs must give equal bytes.
    header = json.dumps({**about, DIGEST: _digest(tensors)}, sort_keys=True)
    write_bytes(path, save(tensors, metadata={FORMAT: header}))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a checkpoint.

    Raises `UserError` if the file is missing, damaged or not a checkpoint.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; pass a run directory or its checkpoint.safetensors")
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise UserError(
                    f"{path} is not a cliptune checkpoint (no {FORMAT!r} in its header); pass a run directory"
                )
            about = plain_values.from_json(metadata[FORMAT])
            if not isinstance(about, dict):
                raise ValueError(f"its metadata is {shown(about)}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if about.pop(DIGEST, None) not in (None, _digest(tensors)):  # older files have none
                raise ValueError("its tensors do not match their checksum")
            return tensors, about
    except UserError:
        raise
    except Exception as error:  # of safetensors, and of torch for dtypes that it does not have
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({reason}); train again or restore a copy"
        ) from None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_learner(learner: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load the tensors of a checkpoint into a learner; floating-point tensors are converted to its precision.

    where: start of error messages, naming the file and what it should fit. Raises `UserError` for missing or unexpected
    names, for other shapes or types, and for values that are not finite.
    """
    own = learner.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        raise UserError(f"{where}: {shown(name)} is {'missing' if name in own else 'unexpected'}")
    for name, target in own.items():
        tensor = tensors[name]
        if tensor.dtype != target.dtype and not (tensor.is_floating_point() and target.is_floating_point()):
            raise UserError(f"{where}: {name} is of type {_dtype(tensor)}, not {_dtype(target)}")
        if tensor.is_floating_point() and not tensor.to(target.dtype).isfinite().all():
            raise UserError(f"{where}: {name} contains values that are not finite; train again or restore a copy")
    try:
        learner.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise UserError(f"{where}: {str(error).splitlines()[-1].strip()}") from None


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
