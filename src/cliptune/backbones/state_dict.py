"""A state dict into the model it is for, with all that does not fit in a sentence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, resize_text_pos_embed
from torch import Tensor

from cliptune.backbones.architecture import LOGIT_PARAMETERS, VIT_POSITIONS
from cliptune.errors import UserError


def load_state_dict(model: Any, state: Mapping[str, Tensor], name: str, path: str) -> None:
    """Load a CLIP's tensors into `model`, an open_clip model called `name`, as open_clip's `load_checkpoint` does.

    Tables of positions for another image size or context length are resized, with a warning. Raises `UserError` for
    tensors that are missing, too many, or of another shape.
    """
    held = convert_state_dict(model, dict(state))
    if "positional_embedding" in held and not hasattr(model, "positional_embedding"):
        held = convert_to_custom_text_state_dict(held)
    elif hasattr(model, "positional_embedding"):
        held = {key.removeprefix("text."): tensor for key, tensor in held.items()}
    for key in LOGIT_PARAMETERS:
        place = getattr(model, key, None)
        if key in held and place is not None:
            held[key] = held[key].reshape(place.shape)
    if "logit_bias" not in held and getattr(model, "logit_bias", None) is not None:
        warnings.warn(f"{path} has no logit_bias, which {name} adds to logits; 0 is taken", stacklevel=4)
        held["logit_bias"] = torch.zeros_like(model.logit_bias)
    wanted = model.state_dict()
    _resize(model, held, wanted, name, path)
    _check(held, wanted, name, path)
    model.load_state_dict(held)


def _resize(model: Any, held: dict[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: str) -> None:
    """Tables of positions to the lengths of the model, where only these differ."""
    texts = [key for key in ("positional_embedding", "text.positional_embedding") if key in held]
    for key, resize in ((VIT_POSITIONS, resize_pos_embed), *((key, resize_text_pos_embed) for key in texts)):
        if key not in held or key not in wanted or held[key].shape == wanted[key].shape:
            continue
        old, new = held[key].shape, wanted[key].shape
        square = key != VIT_POSITIONS or math.isqrt(old[0] - 1) ** 2 == old[0] - 1
        if old[1:] != new[1:] or not square:
            continue  # said with the other shapes
        warnings.warn(
            f"{path} has {old[0]} positions in {key}, {name} has {new[0]}: they are interpolated, as in open_clip",
            stacklevel=5,
        )
        resize(held, model)


def _check(held: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, path: str) -> None:
    other = [key for key in held if key in wanted and held[key].shape != wanted[key].shape]
    lacking = [key for key in wanted if key not in held and not key.endswith("num_batches_tracked")]
    beyond = [key for key in held if key not in wanted]
    faults = []
    if other:
        shapes = tuple(held[other[0]].shape), tuple(wanted[other[0]].shape)
        faults.append(f"{other[0]} is {shapes[0]}, not {shapes[1]}{_more(other)}")
    if lacking:
        faults.append(f"it lacks {lacking[0]}{_more(lacking)}")
    if beyond:
        faults.append(f"it also holds {beyond[0]}{_more(beyond)}")
    if faults:
        raise UserError(f"{path} does not fit {name}: {'; '.join(faults)}")


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
