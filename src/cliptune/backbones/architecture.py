"""Infer an open_clip architecture from the names and shapes of tensors."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from open_clip.utils import to_2tuple
from torch import Tensor

from cliptune.backbones.listing import list_pretrained_tags
from cliptune.errors import UserError

#: Width of OpenAI's heads.
HEAD_WIDTH = 64
#: Size of the vocabulary of CLIP's tokenizer.
VOCAB_SIZE = 49408
#: Positional embeddings of a ViT and of a ResNet, whose length depends on the image size.
VIT_POSITIONS, RESNET_POSITIONS = "visual.positional_embedding", "visual.attnpool.positional_embedding"
#: Parameters that are a scalar in some models and a vector of one element in others.
LOGIT_PARAMETERS = ("logit_scale", "logit_bias")


@dataclass(frozen=True)
class Architecture:
    """An open_clip model configuration.

    name: its name in open_clip, or "". guessed: the settings assumed to be those of OpenAI's models, as tensors do not
    show them, in words; "" if there are none.
    """

    name: str
    config: Mapping[str, Any]
    guessed: str = ""

    @property
    def activation_is_known(self) -> bool:
        """Whether the configuration, or all weights published for it, decide between GELU and QuickGELU."""
        towers = (self.config["text_cfg"], self.config["vision_cfg"])
        if "quick_gelu" in self.config or any(tower.get("act_kwargs") for tower in towers):
            return True
        known = list_pretrained_tags(self.name) if self.name else []
        return bool(known) and not any(open_clip.get_pretrained_cfg(self.name, t).get("quick_gelu") for t in known)

    def build(self, quick_gelu: bool | None = None) -> Any:
        """Create the model with its initial weights. quick_gelu: replaces the activation of the configuration."""
        config: dict[str, Any] = copy.deepcopy(dict(self.config))
        custom = config.pop("custom_text", False) or "hf_model_name" in config["text_cfg"]
        if "timm_model_name" in config["vision_cfg"]:
            config["vision_cfg"]["timm_model_pretrained"] = False
        if "hf_model_name" in config["text_cfg"]:
            config["text_cfg"]["hf_model_pretrained"] = False
        if quick_gelu is not None:
            config["quick_gelu"] = quick_gelu
        kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        return (open_clip.CoCa if "multimodal_cfg" in config else kind)(**config)


def named_architecture(name: str) -> Architecture:
    """The architecture called `name` in open_clip."""
    return Architecture(name, open_clip.get_model_config(name) or {})


def infer_architecture(state: Mapping[str, Tensor], path: str) -> Architecture:
    """The architecture of a CLIP's tensors.

    It is the architecture in open_clip whose tensors have the same names and shapes, except for image size and context
    length. If there is none, the configuration is guessed to be like OpenAI's. Raises `UserError` if neither fits, or
    if several architectures with different computations fit. path: the weights file, for messages.
    """
    wanted = tensor_shapes(state)
    fit = [found for found in _candidates(state) if tensor_shapes(_on_meta(found)) == wanted]
    if len({_computation(found.config) for found in fit}) > 1:
        names = ", ".join(found.name for found in fit)
        raise UserError(
            f"{path} fits several architectures, which compute differently: {names}; name the architecture: --backbone "
            f"{fit[0].name} --pretrained {path}"
        )
    if fit:
        return next((found for found in fit if found.config == open_clip.get_model_config(found.name)), fit[0])
    try:
        config = config_from_shapes(state)
        fits = (
            tensor_shapes(_on_meta(Architecture("", config))) == wanted
            and config["text_cfg"]["vocab_size"] == VOCAB_SIZE
        )
    except (KeyError, IndexError, ValueError, ZeroDivisionError, AssertionError):
        fits = False
    if not fits:
        raise UserError(
            f"{path} fits no architecture of open_clip; name the architecture: --backbone ARCHITECTURE --pretrained "
            f"{path}, or use a folder with the weights and an open_clip_config.json"
        )
    guess = "heads 64 wide, a class token, a causal mask and square images, as in OpenAI's models"
    return Architecture("", config, guess)


def config_from_shapes(state: Mapping[str, Tensor], heads: tuple[int, int] | None = None) -> dict[str, Any]:
    """A model configuration from shapes. Settings that shapes do not determine are those of OpenAI's models.

    heads: Number of attention heads of the text tower and of the image tower, a ViT; by default, heads are 64 wide.
    Raises `KeyError` or `ValueError` for names or shapes that OpenAI's models do not have.
    """
    vocabulary, width = state["token_embedding.weight"].shape
    text = {
        "context_length": len(state["positional_embedding"]),
        "vocab_size": vocabulary,
        "width": width,
        "heads": heads[0] if heads else _divided(width, HEAD_WIDTH),
        "layers": len(_numbered(state, "transformer.resblocks.")),
        "mlp_ratio": _ratio(state, "transformer.resblocks."),
        "ls_init_value": 1.0 if "transformer.resblocks.0.ls_1.gamma" in state else None,
    }
    stem = state["visual.conv1.weight"].shape
    if "visual.proj" in state:
        blocks = "visual.transformer.resblocks."
        n_heads = heads[1] if heads else _divided(stem[0], HEAD_WIDTH)
        vision = {
            "layers": len(_numbered(state, blocks)),
            "width": stem[0],
            "head_width": _divided(stem[0], n_heads),
            "patch_size": stem[-1],
            "image_size": stem[-1] * _side(state, VIT_POSITIONS),
            "mlp_ratio": _ratio(state, blocks),
            "ls_init_value": 1.0 if f"{blocks}0.ls_1.gamma" in state else None,
            "no_ln_pre": "visual.ln_pre.weight" not in state,
        }
    else:
        layers = tuple(len(_numbered(state, f"visual.layer{i}.")) for i in (1, 2, 3, 4))
        # The stem has half the width. The attention pool has 32 times the width and heads 64 wide.
        vision = {
            "layers": layers,
            "width": 2 * stem[0],
            "patch_size": None,
            "image_size": 32 * _side(state, RESNET_POSITIONS),
        }
    return {"embed_dim": state["text_projection"].shape[1], "vision_cfg": vision, "text_cfg": text}


def tensor_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor by its name in `open_clip.CLIP`, without scalars of the logits and batch counters."""
    plain = {name.removeprefix("text."): tuple(tensor.shape) for name, tensor in state.items()}
    return {k: v for k, v in plain.items() if k not in LOGIT_PARAMETERS and not k.endswith("num_batches_tracked")}


def _candidates(state: Mapping[str, Tensor]) -> Iterator[Architecture]:
    """open_clip's architectures with the depths and widths of `state`, at its image size and context length."""
    text = {name.removeprefix("text."): tensor for name, tensor in state.items()}
    if "token_embedding.weight" not in text or "positional_embedding" not in text:
        return
    size = (*text["token_embedding.weight"].shape, len(_numbered(text, "transformer.resblocks.")))
    stem, embed_dim = state.get("visual.conv1.weight"), _embed_dim(text)
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name) or {}
        try:
            language, vision = CLIPTextCfg(**config["text_cfg"]), CLIPVisionCfg(**config["vision_cfg"])
        except (KeyError, TypeError):
            continue
        if language.hf_model_name or (language.vocab_size, language.width, language.layers) != size:
            continue
        if embed_dim is not None and config.get("embed_dim") != embed_dim:
            continue
        if (vision.timm_model_name is None) != (stem is not None):
            continue
        config["text_cfg"]["context_length"] = len(text["positional_embedding"]) - ("cls_emb" in text)
        if stem is not None:
            grid, patch = (
                (RESNET_POSITIONS, 32)
                if isinstance(vision.layers, (list, tuple))
                else (VIT_POSITIONS, vision.patch_size)
            )
            if grid not in state or stem.shape[0] not in (vision.width, vision.width // 2):
                continue
            height, width = to_2tuple(vision.image_size)
            if len(state[grid]) != 1 + (height // patch) * (width // patch):
                try:
                    config["vision_cfg"]["image_size"] = patch * _side(state, grid)
                except ValueError:
                    continue
        yield Architecture(name, config)


def _on_meta(architecture: Architecture) -> Mapping[str, Tensor]:
    """The tensors of an architecture on the meta device, which allocates no memory."""
    with torch.device("meta"):
        return architecture.build().state_dict()


def _computation(config: Mapping[str, Any]) -> str:
    """The settings that determine the computation, as JSON; the activation is determined elsewhere."""
    towers = [
        dataclasses.asdict(kind(**{k: v for k, v in config[key].items() if k != "timm_model_pretrained"}))
        for kind, key in ((CLIPTextCfg, "text_cfg"), (CLIPVisionCfg, "vision_cfg"))
    ]
    return json.dumps([towers, config.get("multimodal_cfg")], sort_keys=True)


def _numbered(state: Mapping[str, Tensor], prefix: str) -> set[str]:
    return {name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)}


def _ratio(state: Mapping[str, Tensor], blocks: str) -> float:
    """The `mlp_ratio` from which open_clip, which rounds down, computes the hidden width."""
    hidden, width = state[f"{blocks}0.mlp.c_fc.weight"].shape
    return hidden / width if int(width * (hidden / width)) == hidden else (hidden + 0.5) / width


def _side(state: Mapping[str, Tensor], name: str) -> int:
    """The side of the square grid of a positional embedding, in patches. Raises `ValueError` if it is not square."""
    side = math.isqrt(len(state[name]) - 1)
    if side * side + 1 != len(state[name]):
        raise ValueError(f"{name} does not belong to a square grid")
    return side


def _embed_dim(text: Mapping[str, Tensor]) -> int | None:
    """Width of the shared features; None without a projection in the text tower."""
    if "text_projection" in text:
        return text["text_projection"].shape[1]
    return len(text["text_projection.weight"]) if "text_projection.weight" in text else None


def _divided(width: int, by: int) -> int:
    """`width / by`. Raises `ValueError` if there is a remainder."""
    if width % by:
        raise ValueError(f"{width} is not a multiple of {by}")
    return width // by
