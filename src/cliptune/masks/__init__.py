"""Mask sources: where the foreground masks of training images come from, by name."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

if TYPE_CHECKING:
    from cliptune.masks.source import MaskSource


@dataclass(frozen=True)
class SourceEntry:
    """A mask source in `SOURCES`.

    Args:
        target: "module:Class", relative to this package. Imported on first use, as mask sources need PyTorch.
        argument: Whether the name is followed by a colon and an argument, as in "folder:PATH".
        uses_model: Whether the masks are computed with the model being tuned.
    """

    target: str
    argument: Literal["none", "optional", "required"] = "none"
    uses_model: bool = False


#: Every mask source. To add one, write a `MaskSource` with `from_spec` and add its line here.
SOURCES = {
    "data": SourceEntry("from_dataset:DataMasks"),
    "alpha": SourceEntry("from_dataset:AlphaMasks"),
    "beside": SourceEntry("sibling_folder:SiblingFolderMasks"),
    "seem": SourceEntry("sibling_folder:SeemMasks", "optional"),
    "folder": SourceEntry("folder:FolderMasks", "required"),
    "box": SourceEntry("box:BoxMasks", "required"),
    "full": SourceEntry("full:FullMasks"),
    "grid": SourceEntry("grid:GridMasks"),
    "gradcam": SourceEntry("saliency_masks:GradCamMasks", uses_model=True),
    "maskclip": SourceEntry("saliency_masks:MaskClipMasks", uses_model=True),
}


def check_spec(spec: str, auto: bool = True) -> None:
    """Raise `UserError` unless `spec` names a mask source. auto: Also accept "auto"."""
    if auto and spec == "auto":
        return
    name, colon, _ = spec.partition(":")
    forms = {"none": {name}, "required": {f"{name}:PATH"}, "optional": {name, f"{name}:PATH"}}
    form = f"{name}:PATH" if colon else name
    if name not in SOURCES or form not in forms[SOURCES[name].argument] or spec == f"{name}:":
        known = [name for name, entry in SOURCES.items() if entry.argument != "required"]
        known += [f"{name}:PATH" for name, entry in SOURCES.items() if entry.argument != "none"]
        raise UserError(f"unknown mask source {spec!r}; known: {', '.join(['auto', *known])}")


def uses_model(spec: str) -> bool:
    """Whether the source `spec` computes masks with the model being tuned."""
    name = spec.partition(":")[0]
    return name in SOURCES and SOURCES[name].uses_model


def get(spec: str, seed: int = 0) -> MaskSource:
    """The mask source of a spec such as "data", "gradcam" or "folder:PATH". Raises `UserError` for an unknown one.

    seed: Seed of sources that draw random masks.
    """
    check_spec(spec, auto=False)
    name, _, argument = spec.partition(":")
    module, _, kind = SOURCES[name].target.partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), kind).from_spec(argument, seed)


def choose_source(spec: str, provided: Collection[str], total: int, seed: int = 0) -> MaskSource:
    """`get(spec)`, where "auto" is resolved by what the data provides.

    "auto" uses the masks that come with the data where all `total` training images have one, Grad-CAM where none has,
    and otherwise Grad-CAM for the images without one. It warns whenever Grad-CAM is used.

    Args:
        provided: Keys of the images that come with a mask.
    """
    if spec != "auto":
        return get(spec, seed)
    if len(provided) == total:
        return get("data")
    if not provided:
        warn_user("the images have no masks of their own: foregrounds come from Grad-CAM of the model being tuned")
        return get("gradcam")
    warn_user(
        f"{len(provided)} of {total} training images have a mask of their own (transparency or a mask file), for "
        f"example {min(provided)}: these are used, and foregrounds of the other {total - len(provided)} come from "
        f"Grad-CAM of the model being tuned; use --masks-from gradcam to treat all images alike"
    )
    from cliptune.masks.saliency_masks import MixedMasks

    return MixedMasks(frozenset(provided))
