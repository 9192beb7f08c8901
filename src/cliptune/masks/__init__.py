"""Mask sources by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from functools import partial

from cliptune.errors import UserError
from cliptune.masks import maskclip
from cliptune.masks.base import MaskSource
from cliptune.masks.beside import BesideMasks
from cliptune.masks.box import BoxMasks
from cliptune.masks.data import AlphaMasks, DataMasks
from cliptune.masks.folder import FolderMasks
from cliptune.masks.full import FullMasks
from cliptune.masks.gradcam import GradCamMasks
from cliptune.masks.grid import GridMasks
from cliptune.masks.mixed import MixedMasks
from cliptune.masks.values import Values, knobs

#: Values as the released DAPT reads them.
RELEASE = Values("release")


def folder(argument: str) -> MaskSource:
    """`PATH`, or `PATH,values=labels,void=255,foreground=1+3`."""
    return FolderMasks(*knobs(argument))


def seem(argument: str = "") -> MaskSource:
    """SEEM's archive in the dataset's own folders, or at `PATH`; values are read as the released DAPT does."""
    path, _ = knobs(argument)  # its rule leaves nothing to choose
    return FolderMasks(path, RELEASE) if path else BesideMasks(RELEASE)


#: What takes something after a colon, and what stands alone.
PATHS: dict[str, Callable[[str], MaskSource]] = {"folder": folder, "seem": seem, "box": BoxMasks}
PLAIN: dict[str, Callable[[], MaskSource]] = {
    "data": DataMasks,
    "alpha": AlphaMasks,
    "beside": BesideMasks,
    "seem": seem,
    "full": FullMasks,
    "gradcam": GradCamMasks,
    "grid": GridMasks,
    "maskclip": partial(GradCamMasks, saliency=maskclip.saliency),
}


def get(spec: str, seed: int = 0) -> MaskSource:
    """`"data"`, `"gradcam"`, `"folder:PATH"`, ... -> a source. Raises `UserError` for anything else.

    seed: of sources that draw.
    """
    name, colon, argument = spec.partition(":")
    if spec == "grid":
        return GridMasks(seed)
    if name in PLAIN and not colon:
        return PLAIN[name]()
    if name in PATHS and argument:
        return PATHS[name](argument)
    known = ", ".join(["auto", *PLAIN, *(f"{name}:PATH" for name in PATHS)])
    raise UserError(f"unknown mask source {spec!r}; known: {known}")


def choose(spec: str, brought: Collection[str], total: int, seed: int = 0) -> MaskSource:
    """`get(spec)`; "auto" is the masks that come with the data where each of `total` training images has one, Grad-CAM
    for those that have none, and a note of how many that are.

    brought: keys of the images that have one.
    """
    if spec != "auto":
        return get(spec, seed)
    if len(brought) == total:
        return DataMasks()
    if not brought:
        warnings.warn(
            "the pictures bring no masks: foregrounds come from Grad-CAM of the model being tuned", stacklevel=2
        )
        return GradCamMasks()
    warnings.warn(
        f"{len(brought)} of {total} training images bring a mask (transparency or a mask file), such as "
        f"{min(brought)}: theirs are used, and foregrounds of the other {total - len(brought)} come from Grad-CAM of "
        f"the model being tuned; --masks-from gradcam treats all alike",
        stacklevel=2,
    )
    return MixedMasks(brought)
