"""Properties of open_clip's models: which towers accept learned tokens, and how features are pooled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from cliptune.errors import UserError

#: Methods to suggest if the text tower accepts no learned tokens.
FIXED_TEXT_METHODS = "zeroshot, clip_adapter, tip_adapter or linear_probe"


def text_module(model: Any) -> Any:
    """The module that contains the parts of the text tower."""
    return getattr(model, "text", model)


def has_standard_blocks(transformer: Any) -> bool:
    """Whether all blocks are open_clip's `ResidualAttentionBlock`, which `FrozenBlock` implements."""
    return all(type(block) is ResidualAttentionBlock for block in transformer.resblocks)


def accepts_text_prompts(text: Any) -> bool:
    """Whether the text tower accepts learned tokens: open_clip's text transformer with standard blocks."""
    return hasattr(text, "token_embedding") and has_standard_blocks(text.transformer)


def text_prompts_error(name: str, text: Any) -> UserError:
    """The error for a backbone `name` whose text tower accepts no learned tokens."""
    inner = getattr(text, "transformer", text)
    kind = type(inner.resblocks[0] if hasattr(inner, "resblocks") else inner).__name__
    return UserError(
        f"the text tower of backbone {name!r} ({kind}) accepts no learned tokens; use {FIXED_TEXT_METHODS}, or a "
        f"backbone with open_clip's standard text transformer"
    )


def is_causal(text: Any) -> bool:
    """Whether attention is causal and the pooled token is one of the text, not an appended class token."""
    return text.attn_mask is not None and getattr(text, "cls_emb", None) is None


def text_pooling(name: str, text: Any) -> tuple[str, int]:
    """open_clip's `pool_type` and `eos_id` of the text tower.

    Raises `UserError` if backbone `name` does not pool text tokens.
    """
    pool = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "last")
    if pool == "none":
        raise unpooled_error(name, "text")
    eos = getattr(text, "eos_id", None)
    return pool, getattr(text, "text_eos_id", 2) if eos is None else eos


def unpooled_error(name: str, tower: str) -> UserError:
    """The error for a backbone `name` with a tower that returns all tokens instead of one feature."""
    return UserError(
        f"the {tower} tower of backbone {name!r} returns a vector per token instead of one feature (pool_type none); "
        f"choose another backbone"
    )


def pooled_features(name: str, tower: str, compute: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Features `(n, d)` of inputs `x` from open_clip's `compute`, which may also return tokens.

    Raises `UserError` if it fails, or if the features are not pooled.
    """
    try:
        features = compute(x)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"open_clip cannot compute the {tower} tower of backbone {name!r} on inputs of {tuple(x.shape)}: "
            f"{reason[0][:200]}"
        ) from None
    features = features[0] if isinstance(features, tuple) else features
    if features.ndim != 2:
        raise unpooled_error(name, tower)
    return features


def check_same_width(name: str, image: int, text: int) -> None:
    """Raise `UserError` unless the features of both towers of backbone `name` have the same width."""
    if image != text:
        raise UserError(
            f"backbone {name!r} has image features of width {image} and text features of width {text}, which must be "
            f"equal; choose another backbone, or add the missing projection"
        )


def embed_dim(text: Any) -> int:
    """Width of the text tower's features."""
    if not hasattr(text, "text_projection"):
        return text.output_dim  # a Hugging Face text tower
    projection = text.text_projection
    if projection is None:
        return text.token_embedding.weight.shape[1]
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]


def normalises_features(model: Any) -> bool:
    """Whether the model normalises features by default (CoCa)."""
    return inspect.signature(model.encode_text).parameters["normalize"].default


def is_standard_vit(visual: Any) -> bool:
    """Whether the image tower is open_clip's ViT with standard blocks, pooled at its class token."""
    if not isinstance(visual, VisionTransformer) or not has_standard_blocks(visual.transformer):
        return False
    return _pool(visual) == "tok"


def vit_error(name: str, visual: Any) -> UserError:
    """The error for a backbone `name` whose image tower supports neither learned tokens nor Grad-CAM."""
    kind = type(visual).__name__
    if isinstance(visual, VisionTransformer):
        kind += f" ({f'pooled by {_pool(visual)!r}' if has_standard_blocks(visual.transformer) else 'custom blocks'})"
    return UserError(
        f"backbone {name!r} has a {kind} image tower; visual prompts and Grad-CAM need open_clip's ViT with a class "
        f"token (use a text-only method such as coop, masks from the data or a folder, or a ViT backbone)"
    )


def _pool(visual: VisionTransformer) -> str:
    return visual.pool_type if visual.attn_pool is None else "attention"
