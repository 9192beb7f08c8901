"""The weights of a backbone with a learner's changes merged into them, as an open_clip model of their own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from open_clip.constants import HF_SAFE_WEIGHTS_NAME
from open_clip.model import get_model_preprocess_cfg
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from open_clip.transformer import QuickGELU
from safetensors.torch import save
from torch import Tensor, nn

from cliptune import files
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.blocks import FrozenBlock
from cliptune.backbones.changed_block import merged_weight
from cliptune.backbones.resolve import OPEN_CLIP_CONFIG
from cliptune.errors import UserError
from cliptune.types import LowRank, Prompts, TowerChange


@torch.no_grad()
def merged_state_dict(backbone: Backbone, prompts: Prompts) -> dict[str, Tensor]:
    """The state dict of the open_clip model with the changes of both towers in `prompts`, whose low-rank terms are not
    merged yet.

    Raises `UserError` if a block has a branch beside it, which no weight can contain.
    """
    changed: dict[int, Tensor] = {}
    if prompts.text_change is not None:
        changed |= _changed_tensors(backbone.blocks("text"), backbone.text, prompts.text_change)
    if prompts.image_change is not None:
        changed |= _changed_tensors(backbone.blocks("image"), backbone.visual, prompts.image_change)
    state = {name: value.detach().clone() for name, value in backbone.model.state_dict().items()}
    for name, parameter in backbone.model.named_parameters(remove_duplicate=False):
        if id(parameter) in changed:
            state[name] = changed[id(parameter)].to(parameter).contiguous()
    return state


def write_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state dict in safetensors' format, atomically."""
    # The metadata is what Hugging Face's libraries expect.
    tensors = {name: tensor.cpu().contiguous() for name, tensor in state.items()}
    files.write_bytes(path, save(tensors, metadata={"format": "pt"}))


def write_model_folder(folder: Path, backbone: Backbone, state: dict[str, Tensor]) -> Path:
    """Write the weights and configuration that `open_clip.create_model("local-dir:FOLDER")` reads, and Hugging Face's
    tokenizer if the model has one. Returns the path of the weights.

    Raises `UserError` if the configuration of the backbone is not known.
    """
    files.write_json(folder / OPEN_CLIP_CONFIG, open_clip_config(backbone))
    if isinstance(backbone.tokenizer, HFTokenizer):
        backbone.tokenizer.tokenizer.save_pretrained(folder)
    write_weights(folder / HF_SAFE_WEIGHTS_NAME, state)
    return folder / HF_SAFE_WEIGHTS_NAME


def open_clip_config(backbone: Backbone) -> dict[str, Any]:
    """The content of an `open_clip_config.json`: architecture, activation and image preprocessing.

    Raises `UserError` if the configuration is not known, or its tokenizer is none that such a folder can name.
    """
    if backbone.config is None or not isinstance(backbone.tokenizer, (SimpleTokenizer, HFTokenizer)):
        missing = "configuration" if backbone.config is None else "tokenizer"
        raise UserError(
            f"backbone {backbone.name!r} has no {missing} that a folder could contain; name a file that ends in "
            f".safetensors, for the weights alone"
        )
    config = copy.deepcopy(dict(backbone.config))
    quick = any(isinstance(module, QuickGELU) for module in backbone.model.modules())
    if quick or "quick_gelu" in config:
        config["quick_gelu"] = quick
    return {"model_cfg": config, "preprocess_cfg": get_model_preprocess_cfg(backbone.model)}


def _changed_tensors(blocks: Sequence[FrozenBlock], tower: nn.Module, change: TowerChange) -> dict[int, Tensor]:
    """The new values of the parameters of a tower, by the `id` of the parameter."""
    if len(change.blocks) > len(blocks):
        raise UserError(f"the learner changes {len(change.blocks)} blocks, but the tower has {len(blocks)}; use fewer")
    found = {}
    for own, block in zip(change.blocks, blocks, strict=False):
        if own is None:
            continue
        if own.branch is not None:
            raise UserError("a branch beside a block cannot be merged into weights; use the run itself")
        found |= _linear_tensors(block.block, own.linear)
        found |= _norm_tensors(block.block, own.norm)
    return found | _norm_tensors(tower, change.norm)


def _linear_tensors(block: Any, terms: Any) -> dict[int, Tensor]:
    def merged(weight: Tensor, *names: str) -> dict[int, Tensor]:
        own: list[LowRank | None] = [terms.get(name) for name in names]
        if not any(own):
            return {}
        return {id(weight): merged_weight(weight, own)}

    attention, mlp = block.attn, block.mlp
    return {
        **merged(attention.in_proj_weight, *"qkv"),
        **merged(attention.out_proj.weight, "o"),
        **merged(mlp.c_fc.weight, "fc"),
        **merged(mlp.c_proj.weight, "proj"),
    }


def _norm_tensors(module: Any, norms: Any) -> dict[int, Tensor]:
    found = {}
    for name, (weight, bias) in norms.items():
        norm = getattr(module, name)
        found |= {id(norm.weight): weight, id(norm.bias): bias}
    return found
