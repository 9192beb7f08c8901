"""Load a state dict into a model; the message about a mismatch is one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed
from torch import Tensor

from cliptune.backbones.architecture import LOGIT_PARAMETERS, VIT_POSITIONS
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user


def load_state_dict(model: Any, state: Mapping[str, Tensor], name: str, path: str) -> None:
    """Load a CLIP's tensors into `model`, an open_clip model called `name`, like open_clip's `load_checkpoint`.

    Positional embeddings for another image size or context length are interpolated, with a warning. Raises `UserError`
    for tensors that are missing, unexpected or of another shape. path: the weights file, for messages.
    """
    tensors = convert_state_dict(model, dict(state))
    if "positional_embedding" in tensors and not hasattr(model, "positional_embedding"):
        tensors = convert_to_custom_text_state_dict(tensors)
    elif hasattr(model, "positional_embedding"):
        tensors = {key.removeprefix("text."): tensor for key, tensor in tensors.items()}
    for key in LOGIT_PARAMETERS:
        parameter = getattr(model, key, None)
        if key in tensors and parameter is not None:
            tensors[key] = tensors[key].reshape(parameter.shape)
    if "logit_bias" not in tensors and getattr(model, "logit_bias", None) is not None:
        warn_user(f"{path} has no logit_bias, which {name} adds to logits; using 0")
        tensors["logit_bias"] = torch.zeros_like(model.logit_bias)
    wanted = model.state_dict()
    _resize(model, tensors, wanted, name, path)
    _check(tensors, wanted, name, path)
    model.load_state_dict(tensors)


def _resize(model: Any, tensors: dict[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: str) -> None:
    """Interpolate positional embeddings to the lengths of the model."""
    texts = [key for key in ("positional_embedding", "text.positional_embedding") if key in tensors]
    for key, resize in ((VIT_POSITIONS, resize_pos_embed), *((key, resize_text_pos_embed) for key in texts)):
        if key not in tensors or key not in wanted or tensors[key].shape == wanted[key].shape:
            continue
        old, new = tensors[key].shape, wanted[key].shape
        square = key != VIT_POSITIONS or math.isqrt(old[0] - 1) ** 2 == old[0] - 1
        if old[1:] != new[1:] or not square:
            continue  # `_check` reports it
        warn_user(
            f"{path} has {old[0]} positions in {key}, {name} has {new[0]}: they are interpolated, as in open_clip"
        )
        resize(tensors, model)


def _check(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: str) -> None:
    reshaped = [key for key in tensors if key in wanted and tensors[key].shape != wanted[key].shape]
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in tensors if key not in wanted]
    reasons = []
    if reshaped:
        shapes = tuple(tensors[reshaped[0]].shape), tuple(wanted[reshaped[0]].shape)
        reasons.append(f"{reshaped[0]} is {shapes[0]}, not {shapes[1]}{_more(reshaped)}")
    if missing:
        reasons.append(f"{missing[0]} is missing{_more(missing)}")
    if unexpected:
        reasons.append(f"{unexpected[0]} is unexpected{_more(unexpected)}")
    if reasons:
        raise UserError(f"{path} does not fit {name}: {'; '.join(reasons)}")


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
