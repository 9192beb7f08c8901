"""Mask sources by name."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from cliptune.errors import UserError
from cliptune.masks.pixel_encoding import PixelEncoding, parse_path_options

if TYPE_CHECKING:
    from cliptune.masks.source import MaskSource

#: What stands alone, and what takes something after a colon: name -> module and class. Imported when one
#: is asked for, as they need PyTorch.
PLAIN = {
    "data": "masks.from_dataset.DataMasks",
    "alpha": "masks.from_dataset.AlphaMasks",
    "beside": "masks.sibling_folder.SiblingFolderMasks",
    "seem": "masks.sibling_folder.SiblingFolderMasks",
    "full": "masks.full.FullMasks",
    "gradcam": "saliency.gradcam.GradCamMasks",
    "grid": "masks.grid.GridMasks",
    "maskclip": "saliency.gradcam.GradCamMasks",
}
PATHS = {"folder": "masks.folder.FolderMasks", "seem": "masks.folder.FolderMasks", "box": "masks.box.BoxMasks"}
#: Values as the released DAPT reads them.
RELEASE_ENCODING = PixelEncoding("release")


def check_spec(spec: str, auto: bool = True) -> None:
    """Raise `UserError` unless `spec` names a source; auto: or is "auto"."""
    name, colon, argument = spec.partition(":")
    if not (auto and spec == "auto") and not (argument if name in PATHS and colon else name in PLAIN and not colon):
        known = ", ".join(["auto", *PLAIN, *(f"{name}:PATH" for name in PATHS)])
        raise UserError(f"unknown mask source {spec!r}; known: {known}")


def uses_model(spec: str) -> bool:
    """Whether the source makes masks with a model, the one being tuned."""
    return spec in ("gradcam", "maskclip")


def get(spec: str, seed: int = 0) -> MaskSource:
    """`"data"`, `"gradcam"`, `"folder:PATH"`, ... -> a source. Raises `UserError` for anything else.

    folder takes `PATH,values=labels,void=255,foreground=1+3`; seem is SEEM's archive in the dataset's own folders, or
    at `PATH`, whose values are read as the released DAPT does. seed: of sources that draw.
    """
    check_spec(spec, auto=False)
    name, _, argument = spec.partition(":")
    file, _, kind = (PATHS if argument else PLAIN)[name].rpartition(".")
    made: Any = getattr(importlib.import_module(f"cliptune.{file}"), kind)
    match name:
        case "folder":
            return made(*parse_path_options(argument))
        case "seem":  # its rule leaves nothing to choose
            return made(*([parse_path_options(argument)[0]] if argument else []), RELEASE_ENCODING)
        case "box":
            return made(argument)
        case "grid":
            return made(seed)
        case "maskclip":
            from cliptune.saliency import maskclip

            return made(saliency=maskclip.maskclip)
    return made()


def choose_source(spec: str, brought: Collection[str], total: int, seed: int = 0) -> MaskSource:
    """`get(spec)`; "auto" is the masks that come with the data where each of `total` training images has one, Grad-CAM
    for those that have none, and a note of how many that are.

    brought: keys of the images that have one.
    """
    if spec != "auto":
        return get(spec, seed)
    if len(brought) == total:
        return get("data")
    if not brought:
        warnings.warn(
            "the pictures bring no masks: foregrounds come from Grad-CAM of the model being tuned", stacklevel=2
        )
        return get("gradcam")
    warnings.warn(
        f"{len(brought)} of {total} training images bring a mask (transparency or a mask file), such as "
        f"{min(brought)}: theirs are used, and foregrounds of the other {total - len(brought)} come from Grad-CAM of "
        f"the model being tuned; --masks-from gradcam treats all alike",
        stacklevel=2,
    )
    from cliptune.masks.mixed import MixedMasks

    return MixedMasks(brought)
