"""Export a tuned model whose learner only changes weights as a plain open_clip model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cliptune.backbones.features import scaled_cosines
from cliptune.backbones.merged_weights import merged_state_dict, write_model_folder, write_weights
from cliptune.errors import UserError
from cliptune.model.tuned_model import TunedModel
from cliptune.types import Prompts
from cliptune.user_warnings import warn_user

#: Fields of `Prompts` that weights can contain, or that say nothing about the towers.
MERGED = ("text_change", "image_change")
NEUTRAL = ("logit_bias", "novel", "known", "other_data", "classnames", "share_prefix", "lasting", "input_norm", "mix")
#: What the other fields are called in messages.
WORDS = {
    **dict.fromkeys(("text", "text_deep", "text_inserted", "conditional"), "learned text tokens"),
    **dict.fromkeys(("image",), "learned image tokens"),
    **dict.fromkeys(("text_kv", "image_kv"), "learned prefix tokens"),
    **dict.fromkeys(("adapt_text", "adapt_image"), "a learned map of features"),
    **dict.fromkeys(("head", "parts"), "learned parts after the towers"),
    **dict.fromkeys(("class_offset", "per_class"), "parameters of single classes"),
}
#: Largest difference of features of length 1, and of logits relative to the largest, that counts as rounding.
ROUNDING = 1e-4


def export_open_clip(model: TunedModel, path: Path) -> Path:
    """Write the backbone of a model in evaluation mode with low-rank terms and LayerNorms merged, as `Tuned.export`
    describes."""
    with torch.no_grad():
        prompts = model.prompts(merge=False)
        _check_mergeable(model, prompts)
        scale = _other_scale(model, prompts)
        state = merged_state_dict(model.backbone, prompts)
    if scale is not None:
        state["logit_scale"] = torch.full_like(state["logit_scale"], math.log(scale))
    if path.suffix == ".safetensors":
        write_weights(path, state)
        return path
    return write_model_folder(path, model.backbone, state)


def _check_mergeable(model: TunedModel, prompts: Prompts) -> None:
    """Raise `UserError` unless the learner changes weights of the towers and nothing else."""
    name, method = type(model.method).__name__, model.method
    extra = [field for field in _set_fields(prompts) if field not in (*MERGED, *NEUTRAL)]
    if extra or method.needs_tokens or method.needs_patches or method.needs_frozen:
        has = WORDS.get(extra[0], extra[0]) if extra else "logits of more than the class token"
        raise UserError(
            f"this model ({name}) cannot be exported: it has {has}, and an open_clip file contains weights of the "
            f"towers alone (as of clip_lora); use the run itself, or image_features and text_features"
        )
    if prompts.text_change is None and prompts.image_change is None:
        raise UserError(
            f"this model ({name}) changes no weights, so the export would be the backbone {model.backbone.name}; use "
            f"that, and text_features for its classifier"
        )


def _set_fields(prompts: Prompts) -> list[str]:
    """The fields that differ from their defaults."""
    default = Prompts()

    def is_set(value: Any, usual: Any) -> bool:
        if isinstance(value, tuple):
            return any(part is not None for part in value)
        return bool(value) if isinstance(value, Mapping) else value is not usual and value != usual

    names = [field.name for field in dataclasses.fields(Prompts)]
    return [name for name in names if is_set(getattr(prompts, name), getattr(default, name))]


def _other_scale(model: TunedModel, prompts: Prompts) -> float | None:
    """The factor of cosines that gives the logits of `model`, or None if it is that of the backbone.

    Warns of what the export does not contain: a classifier other than the text tower, or logits that are no scaled
    cosines.
    """
    backbone, name = model.backbone, type(model.method).__name__
    merged = backbone.merged(prompts)
    probe = torch.randn(8, backbone.embed_dim, generator=torch.Generator().manual_seed(0)).to(backbone.logit_scale)
    out = model({"image": probe})
    if (out.text - backbone.class_features(model.class_text.text, merged)).abs().max() > ROUNDING:
        warn_user(
            f"the export has the towers of {name}, but not its classifier: its features of these classes are not those "
            f"of its text tower; use text_features of the run with image features of the export"
        )
    bias = 0.0 if backbone.logit_bias is None else backbone.logit_bias
    cosines = scaled_cosines(out.image["image"], out.text, torch.ones_like(out.logit_scale), None)
    scale = _factor(cosines, out.logits[:, : cosines.shape[1]] - bias)
    if scale is None:
        warn_user(f"the logits of {name} are not scaled cosines, so an open_clip model has others")
        return None
    return None if abs(scale / float(backbone.logit_scale) - 1) < ROUNDING else scale


def _factor(cosines: Tensor, logits: Tensor) -> float | None:
    """The positive factor of `cosines` that gives `logits`, or None if there is none."""
    if logits.shape != cosines.shape:
        return None
    factor = float((cosines * logits).sum() / cosines.square().sum())
    apart = (factor * cosines - logits).abs().max()
    return factor if factor > 0 and apart <= ROUNDING * logits.abs().max() else None
