"""Files of CLIP-LoRA: matrices by layer, `weights["layer_3"]["q_proj"]["w_lora_A"]`, and the settings of the run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from cliptune.adapters.low_rank import LowRankTerms
from cliptune.errors import UserError, shown
from cliptune.official.tensor_names import LORA_MODULES

#: Start of the names of tensors: "low_rank.layer_3.q_proj.w_lora_A".
PREFIX = "low_rank."
#: Setting in the file -> field of the method.
FIELDS = {"r": "rank", "alpha": "alpha", "encoder": "encoder", "params": "params", "position": "position"}


def is_low_rank_file(content: Any) -> bool:
    """Whether the content of a file is that of CLIP-LoRA."""
    return isinstance(content, Mapping) and {*content} == {"weights", "metadata"}


def read_low_rank(path: Path, content: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and fields of the method. Raises `UserError` for missing settings or other content."""
    weights, settings = content["weights"], content["metadata"]
    if not isinstance(settings, Mapping) or not FIELDS.keys() <= settings.keys():
        raise UserError(f"{path} has no settings {', '.join(FIELDS)} in its metadata; use a file of CLIP-LoRA")
    found: dict[str, Tensor] = {}
    for layer, modules in weights.items() if isinstance(weights, Mapping) else ():
        for module, matrices in modules.items() if isinstance(modules, Mapping) else ():
            for name, tensor in matrices.items() if isinstance(matrices, Mapping) else ():
                if not isinstance(tensor, Tensor):
                    raise UserError(f"{path} contains {shown(name)} of {shown(layer)}, which is not a tensor")
                found[f"{PREFIX}{layer}.{module}.{name}"] = tensor
    if not found:
        raise UserError(f"{path} contains no matrices; use a file of CLIP-LoRA")
    fields = {field: settings[name] for name, field in FIELDS.items()}
    fields["encoder"] = "image" if fields["encoder"] == "vision" else fields["encoder"]
    return found, fields


def named_by_module(learned: Mapping[str, Tensor], learner: LowRankTerms) -> dict[str, Tensor]:
    """The tensors under their official names in the model. Layers are counted through the changed blocks of the text
    tower, then of the image tower; tensors of further layers keep their names."""
    towers = {"text": "", "image": "visual."}
    blocks = [(towers[tower], i) for tower in towers for i in dict.fromkeys(block for block, _ in learner.terms(tower))]
    paths = {f"layer_{n}": f"{tower}transformer.resblocks.{i}" for n, (tower, i) in enumerate(blocks)}
    modules = {module.rpartition(".")[2]: module for module in LORA_MODULES.values()}

    def renamed(name: str) -> str:
        layer, module, matrix = re.split(r"\.", name.removeprefix(PREFIX), maxsplit=2)
        return f"{paths[layer]}.{modules.get(module, module)}.{matrix}" if layer in paths else name

    return {renamed(name): tensor for name, tensor in learned.items()}
