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

FORMAT = "cliptune-1"


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write `tensors` with the JSON `about` in the header, under a temporary name first."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(held, metadata={"format": FORMAT, "about": json.dumps(about, sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and `about` of a file that `write` wrote. Raises `UserError` if it is missing, truncated or something
    else."""
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; give a run's folder or its checkpoint.safetensors")
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UserError(
                    f"{path} is not a cliptune checkpoint (format {metadata.get('format')!r}, expected {FORMAT!r})"
                )
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(metadata["about"])  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise UserError(
            f"checkpoint {path} is damaged or truncated ({str(error).splitlines()[0]}); train again or restore a copy"
        ) from None
