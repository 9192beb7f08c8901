"""Convert tensors and configuration of transformers' `CLIPModel` to open_clip's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptune.errors import UserError

#: transformers' names to open_clip's, within a tower.
TRANSFORMERS_TO_OPEN_CLIP = {
    r"encoder\.layers\.(\d+)\.": r"transformer.resblocks.\1.",
    r"self_attn\.out_proj\.": "attn.out_proj.",
    r"layer_norm(\d)\.": r"ln_\1.",
    r"mlp\.fc1\.": "mlp.c_fc.",
    r"mlp\.fc2\.": "mlp.c_proj.",
    r"embeddings\.token_embedding\.": "token_embedding.",
    r"embeddings\.position_embedding\.weight": "positional_embedding",
    r"embeddings\.class_embedding": "class_embedding",
    r"embeddings\.patch_embedding\.": "conv1.",
    r"final_layer_norm\.": "ln_final.",
    r"pre_layrnorm\.": "ln_pre.",
    r"post_layernorm\.": "ln_post.",
}
#: Pillow's codes of interpolations, used in `preprocessor_config.json`.
RESAMPLE = {2: "bilinear", 3: "bicubic"}
CONFIG_FILE, PREPROCESSOR_FILE = "config.json", "preprocessor_config.json"


def has_transformers_names(state: Mapping[str, Tensor]) -> bool:
    """Whether tensors have the names of transformers' models with a `text_model` and a `vision_model`."""
    return any(name.startswith("text_model.") for name in state)


def to_open_clip(state: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The tensors of a `CLIPModel` under open_clip's names. Raises `UserError` for other models."""
    if "vision_model.embeddings.class_embedding" not in state or "text_projection.weight" not in state:
        raise UserError(
            f"{path} is a transformers model other than CLIPModel (such as SigLIP), or lacks its projections; use the "
            f"open_clip name of the same model (cliptune list backbones)"
        )
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(("k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias")):
            continue  # joined with the queries below
        if name in ("text_projection.weight", "visual_projection.weight"):
            converted["text_projection" if name.startswith("text") else "visual.proj"] = tensor.T.contiguous()
            continue
        if match := re.fullmatch(r"(.*)q_proj\.(weight|bias)", name):
            parts = [f"{match[1]}{part}_proj.{match[2]}" for part in "qkv"]
            if not all(part in state for part in parts):
                raise UserError(f"{path} is not a complete CLIPModel: it has {name}, but no keys or values")
            tensor, name = torch.cat([state[part] for part in parts]), f"{match[1]}in_proj_{match[2]}"
            name = name.replace("self_attn.", "attn.")
        converted[_renamed(name)] = tensor
    return converted


def _renamed(name: str) -> str:
    tower, _, rest = name.partition(".")
    if tower not in ("text_model", "vision_model"):
        return name
    for theirs, ours in TRANSFORMERS_TO_OPEN_CLIP.items():
        rest = re.sub(theirs, ours, rest)
    return rest if tower == "text_model" else f"visual.{rest}"


def is_clip_folder(folder: Path) -> bool:
    """Whether transformers' `save_pretrained` of a CLIP wrote the folder."""
    return read_json_object(folder / CONFIG_FILE).get("model_type") == "clip"


@dataclass(frozen=True)
class ClipSettings:
    """Settings of a CLIP that its tensors do not show.

    heads, eps: Attention heads and epsilon of LayerNorm, of the text and of the image tower. preprocess: open_clip's
    `preprocess_cfg`.
    """

    heads: tuple[int, int]
    eps: tuple[float, float]
    quick_gelu: bool
    preprocess: dict[str, Any]


def read_clip_settings(folder: Path) -> ClipSettings:
    """Read the configuration files of a folder, with transformers' defaults for missing values. Raises `UserError` for
    values that open_clip does not support."""
    config = read_json_object(folder / CONFIG_FILE)
    text, image = (config.get(name) or {} for name in ("text_config", "vision_config"))
    acts = {tower.get("hidden_act", "quick_gelu") for tower in (text, image)}
    if len(acts) > 1 or not acts <= {"gelu", "quick_gelu"}:
        raise UserError(
            f"{folder / CONFIG_FILE} has hidden_act={', '.join(sorted(acts))}; supported: gelu or quick_gelu, the same "
            f"in both towers"
        )
    return ClipSettings(
        (text.get("num_attention_heads", 8), image.get("num_attention_heads", 12)),
        (text.get("layer_norm_eps", 1e-5), image.get("layer_norm_eps", 1e-5)),
        acts == {"quick_gelu"},
        _preprocess(folder / PREPROCESSOR_FILE),
    )


def _preprocess(file: Path) -> dict[str, Any]:
    """The `preprocess_cfg` of a `preprocessor_config.json`, with the defaults of transformers' CLIP."""
    config = read_json_object(file)
    size, crop = config.get("size", {"shortest_edge": 224}), config.get("crop_size", {"height": 224, "width": 224})
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    crop = (crop["height"], crop["width"]) if isinstance(crop, dict) else (crop, crop)
    cropped = config.get("do_center_crop", True)
    interpolation = RESAMPLE.get(config.get("resample", 3))
    squashed = isinstance(size, dict) and "height" in size and (not cropped or crop == (size["height"], size["width"]))
    if not (squashed or (cropped and crop == (edge, edge))) or interpolation is None:
        raise UserError(
            f"{file} has a preprocessing that open_clip does not support (size {size}, crop {crop}, resample "
            f"{config.get('resample')}); add an open_clip_config.json to the folder"
        )
    mode = "squash" if squashed else "shortest"
    size = (size["height"], size["width"]) if squashed else crop
    mean, std = config.get("image_mean"), config.get("image_std")
    return {"size": size, "resize_mode": mode, "interpolation": interpolation, "mean": mean, "std": std}


def read_json_object(file: Path) -> dict[str, Any]:
    """Read a JSON object; a missing file is empty. Raises `UserError` for invalid JSON."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as JSON ({type(error).__name__}); restore a copy") from None
    return content if isinstance(content, dict) else {}
