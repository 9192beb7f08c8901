"""What open_clip's models are made of: which towers take learned tokens, and where features are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from cliptune.errors import UserError

#: What `UserError` suggests where learned tokens have no place in the text tower.
FIXED_TEXT_METHODS = "zeroshot, clip_adapter, tip_adapter or linear_probe"


def text_module(model: Any) -> Any:
    """The module that carries the text tower's parts."""
    return getattr(model, "text", model)


def has_standard_blocks(transformer: Any) -> bool:
    """Whether all blocks are open_clip's plain ones, in which learned tokens are computed."""
    return all(type(block) is ResidualAttentionBlock for block in transformer.resblocks)


def accepts_text_prompts(text: Any) -> bool:
    """Whether learned tokens have a place in the text tower: open_clip's own, of its plain blocks."""
    return hasattr(text, "token_embedding") and has_standard_blocks(text.transformer)


def text_prompts_error(name: str, text: Any) -> UserError:
    """Why the text tower of backbone `name` takes no learned tokens, and what to do."""
    inner = getattr(text, "transformer", text)
    kind = type(inner.resblocks[0] if hasattr(inner, "resblocks") else inner).__name__
    return UserError(
        f"the text tower of backbone {name!r} ({kind}) takes no learned tokens, "
        f"only fixed sentences; use {FIXED_TEXT_METHODS}, or "
        f"a backbone with open_clip's plain text transformer"
    )


def is_causal(text: Any) -> bool:
    """Whether no token sees what stands behind it, and the feature is read at a token of the sentence."""
    return text.attn_mask is not None and getattr(text, "cls_emb", None) is None


def text_pooling(name: str, text: Any) -> tuple[str, int]:
    """Where text features are read, as open_clip's configuration says it: `pool_type` and `eos_id`.

    Raises `UserError` where backbone `name` reads none.
    """
    pool = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "last")
    if pool == "none":
        raise unpooled_error(name, "text")
    eos = getattr(text, "eos_id", None)
    return pool, getattr(text, "text_eos_id", 2) if eos is None else eos


def unpooled_error(name: str, tower: str) -> UserError:
    """Why a tower of backbone `name` gives no feature that a cosine could compare."""
    return UserError(
        f"the {tower} tower of backbone {name!r} gives a vector for each token and no feature of the whole (pool_type "
        f"none); choose another backbone"
    )


def pooled_features(name: str, tower: str, compute: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    """Features `(n, d)` as open_clip computes them for inputs `x`; some towers give their tokens as well.

    Raises `UserError` where open_clip cannot, or gives no feature of the whole.
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
    """Raise `UserError` unless the features of both towers of backbone `name` are of one width."""
    if image != text:
        raise UserError(
            f"backbone {name!r} gives image features of {image} numbers and text features of {text}, which no cosine "
            f"compares; choose another backbone, or give it the projection it lacks"
        )


def embed_dim(text: Any) -> int:
    """Width of the text tower's features."""
    if not hasattr(text, "text_projection"):
        return text.output_dim  # a tower of Hugging Face
    projection = text.text_projection
    if projection is None:
        return text.token_embedding.weight.shape[1]
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]


def normalises_features(model: Any) -> bool:
    """Whether the model normalises its features unless it is asked not to (CoCa)."""
    return inspect.signature(model.encode_text).parameters["normalize"].default


def is_standard_vit(visual: Any) -> bool:
    """Whether the image tower is open_clip's ViT of plain blocks, read at its class token."""
    if not isinstance(visual, VisionTransformer) or not has_standard_blocks(visual.transformer):
        return False
    return _pool(visual) == "tok"


def vit_error(name: str, visual: Any) -> UserError:
    """Why the image tower of backbone `name` has no place for tokens and no Grad-CAM, and what to do."""
    kind = type(visual).__name__
    if isinstance(visual, VisionTransformer):
        kind += f" ({f'pooled by {_pool(visual)!r}' if has_standard_blocks(visual.transformer) else 'custom blocks'})"
    return UserError(
        f"backbone {name!r} has a {kind} image tower; visual prompts and Grad-CAM need open_clip's ViT with a class "
        f"token (use a text-only method such as coop, masks from the data or a folder, or a ViT backbone)"
    )


def _pool(visual: VisionTransformer) -> str:
    return visual.pool_type if visual.attn_pool is None else "attention"
