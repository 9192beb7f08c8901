"""Load a frozen CLIP by name, hub id, local file or folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from cliptune.backbones import build, weights_file
from cliptune.backbones.backbone import Backbone
from cliptune.backbones.bundled import BUNDLED
from cliptune.backbones.listing import list_backbones, list_pretrained_tags
from cliptune.backbones.resolve import RANDOM, BackboneSource, resolve_backbone
from cliptune.backbones.tokenizer import ClipTokenizer
from cliptune.backbones.weights_file import Weights
from cliptune.errors import UserError
from cliptune.types import LinearBackend
from cliptune.user_warnings import warn_user

__all__ = [
    "cached_backbone",
    "shape_only_backbone",
    "backbone_from_state_dict",
    "load_backbone",
    "list_backbones",
    "list_pretrained_tags",
]


def load_backbone(
    name: str = "tiny", pretrained: str = "", *, quick_gelu: bool | None = None, linear_backend: LinearBackend = "auto"
) -> Backbone:
    """Load a frozen CLIP in float32.

    Args:
        name: "tiny" (bundled), an open_clip architecture ("ViT-B-16", or OpenAI's spelling "ViT-B/16"),
            "hf-hub:ORG/REPO" or "ORG/REPO", a folder with `open_clip_config.json` or transformers' `config.json` of a
            CLIP, or a weights file, whose architecture is inferred from its tensors.
        pretrained: For an architecture, a tag ("openai", "laion2b_s34b_b88k"), a weights file, or "random" for
            untrained weights, which are always the same.
        quick_gelu: Whether to use QuickGELU, OpenAI's activation. None: as in the tag, the file or the configuration,
            with a warning if none of them determines it.
        linear_backend: Backend of frozen linear layers on the CPU: "torch", "onednn" (packed weights), or "auto",
            which chooses by the processor. Results differ by rounding only.

    Raises:
        UserError: For an unknown name, an architecture without `pretrained`, and weights that are not available or do
            not fit.
    """
    source = resolve_backbone(name, pretrained)
    if source.note:
        warn_user(source.note)
    if source.kind == "bundled":
        if quick_gelu is not None:
            raise UserError(f"the activation of the bundled {name} backbone is fixed; leave --activation out")
        return build.build_bundled(BUNDLED[source.name], linear_backend)
    if source.kind == "file":
        weights = weights_file.read_weights(Path(source.name))
        return build.build_inferred(weights, source, quick_gelu, linear_backend)
    if source.kind == "folder":
        return build.build_folder(source, quick_gelu, linear_backend)
    if source.pretrained and source.pretrained not in (RANDOM, *list_pretrained_tags(source.name)):
        return build.build_named(source, quick_gelu, linear_backend)
    return build.build_with_open_clip(source, quick_gelu, linear_backend)


def cached_backbone(
    name: str, pretrained: str = "", activation: str = "auto", linear_backend: LinearBackend = "auto"
) -> Backbone:
    """`load_backbone` with the fields of a run.

    The last two backbones are cached, so that the runs of a sweep load theirs once. A backbone is frozen and its
    results depend on these arguments alone, so runs can share it.
    """
    return _cached(name, pretrained, {"auto": None, "gelu": False, "quick_gelu": True}[activation], linear_backend)


@lru_cache(maxsize=2)
def _cached(name: str, pretrained: str, quick_gelu: bool | None, linear_backend: LinearBackend) -> Backbone:
    return load_backbone(name, pretrained, quick_gelu=quick_gelu, linear_backend=linear_backend)


def shape_only_backbone(name: str) -> Backbone:
    """A backbone without weights, created at once, to read its widths and to build learners on it."""
    with torch.device("meta"):
        model: Any = open_clip.model.CLIP(**(open_clip.get_model_config(name) or {}))
    # Learners that start from words look up token embeddings, so these are not on the meta device.
    model.token_embedding = torch.nn.Embedding.from_pretrained(torch.zeros(model.token_embedding.weight.shape))
    model.logit_scale = torch.nn.Parameter(torch.zeros([]))
    return Backbone(name, model, ClipTokenizer(model.context_length), linear_backend="torch")


def backbone_from_state_dict(
    state: Mapping[str, Tensor], name: str, *, quick_gelu: bool | None = None, linear_backend: LinearBackend = "auto"
) -> Backbone:
    """A backbone from the tensors of a CLIP, whose architecture is inferred from their names and shapes.

    Unlike open_clip's builder for OpenAI's files, it rounds no weight to half precision.
    """
    source = BackboneSource("file", name)
    return build.build_inferred(Weights.of(state, name), source, quick_gelu, linear_backend)
