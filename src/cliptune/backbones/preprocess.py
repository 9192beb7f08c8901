"""Image preprocessing of a backbone, as in open_clip's `preprocess_cfg`: size, resizing, mean, standard deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from cliptune.backbones.listing import list_pretrained_tags
from cliptune.errors import UserError
from cliptune.user_warnings import warn_user

ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Preprocess:
    """The evaluation transform of a backbone; its fields are those of open_clip's `preprocess_cfg`.

    size: `(height, width)` in pixels. resize_mode: "shortest" resizes the shorter edge and crops the centre, "longest"
    resizes the longer edge and pads with `fill`, "squash" resizes both edges whatever the aspect ratio.
    interpolation: of resizing. fill: gray level or RGB color of the padding, 0 to 255. mean, std: of each channel, for
    images in [0, 1].
    """

    size: tuple[int, int]
    resize_mode: ResizeMode = "shortest"
    interpolation: Interpolation = "bicubic"
    fill: int | tuple[int, ...] = 0
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD

    @property
    def pixels(self) -> str:
        """A cache key: all settings that affect pixels before normalisation by mean and standard deviation."""
        height, width = self.size
        return f"{height}x{width} {self.resize_mode} {self.interpolation} {self.fill}"

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> Preprocess:
        """The transform of a `preprocess_cfg` that has `size`; other values that are missing or None have open_clip's
        defaults. Raises `UserError` for values that open_clip's transform does not accept."""
        size = cfg["size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        fill = cfg.get("fill_color") or 0
        interpolation = cfg.get("interpolation") or "bicubic"
        made = cls(
            size,
            cfg.get("resize_mode") or "shortest",
            "bicubic" if interpolation == "random" else interpolation,  # random is for training only
            fill if isinstance(fill, int) else tuple(fill),
            _channels(cfg.get("mean"), OPENAI_DATASET_MEAN),
            _channels(cfg.get("std"), OPENAI_DATASET_STD),
        )
        for name, known in (("resize_mode", ResizeMode), ("interpolation", Interpolation)):
            if getattr(made, name) not in get_args(known):
                value, choices = getattr(made, name), ", ".join(get_args(known))
                raise UserError(f"preprocess_cfg has {name}={value!r}, which must be one of {choices}")
        if len(made.size) != 2 or min(made.size) < 1:
            raise UserError(f"preprocess_cfg has size={made.size}, which must be height and width in pixels")
        for name in ("mean", "std"):
            values = getattr(made, name)
            if len(values) != 3 or not all(map(math.isfinite, values)) or (name == "std" and min(values) <= 0):
                raise UserError(f"preprocess_cfg has {name}={values}, which must be one value per color channel")
        return made


def published_preprocess_cfg(name: str, path: str) -> Mapping[str, Any]:
    """The most frequent `preprocess_cfg` of the weights published for an architecture.

    It is for the weights file `path`, which does not contain its preprocessing. Warns unless all published weights have
    open_clip's defaults. Returns {} for these.
    """
    default = vars(PreprocessCfg())
    found = [
        merge_preprocess_dict(default, open_clip.get_pretrained_cfg(name, t))
        for t in (list_pretrained_tags(name) if name else [])
    ]
    kinds = [kind for i, kind in enumerate(found) if kind not in found[:i]]
    if not kinds or kinds == [default]:
        return {}
    chosen = max(kinds, key=found.count)
    others = "" if len(kinds) == 1 else " most of"
    warn_user(
        f"{path} does not contain its image preprocessing; using that of{others} {name}'s published weights: "
        f"{chosen['resize_mode']}, {chosen['interpolation']}, mean {chosen['mean']}, std {chosen['std']}; to change "
        "it, use a folder with an open_clip_config.json"
    )
    return chosen


def complete_preprocess_cfg(model: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The `preprocess_cfg` of `values`, with open_clip's defaults for missing ones, at the size of the image tower.
    Raises `UserError` as `Preprocess.of`."""
    cfg = {**merge_preprocess_dict(vars(PreprocessCfg()), dict(values)), "size": model.visual.image_size}
    Preprocess.of(cfg)
    return cfg


def _channels(values: Any, default: tuple[float, ...]) -> tuple[float, ...]:
    """One value per channel; a single number is used for all three."""
    if values is None:
        return default
    return (float(values),) * 3 if isinstance(values, (int, float)) else tuple(map(float, values))
