"""Learned tensors and what is needed to use them again, in one safetensors file of kilobytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cliptune.errors import UserError
from cliptune.files import write_bytes

#: The header's key, and with it the file's version.
FORMAT = "cliptune-1"


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors` with the JSON `about` in the header, under a temporary name first."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry alone: safetensors writes several in random order, and equal runs shall leave equal bytes.
    write_bytes(path, save(held, metadata={FORMAT: json.dumps(about, sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
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
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata[FORMAT])  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({str(error).splitlines()[0]}); train again or restore a copy"
        ) from None
