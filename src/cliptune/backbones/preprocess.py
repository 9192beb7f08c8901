"""How a backbone's images are prepared: size, resizing, mean and standard deviation, as `preprocess_cfg` says."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg, merge_preprocess_dict

from cliptune.backbones.listing import list_pretrained_tags
from cliptune.errors import UserError

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
        """What decides the pixels of an image before mean and standard deviation, for keys of caches."""
        height, width = self.size
        return f"{height}x{width} {self.resize_mode} {self.interpolation} {self.fill}"

    @classmethod
    def of(cls, cfg: Mapping[str, Any]) -> Preprocess:
        """The transform that a `preprocess_cfg` with `size` describes; what it leaves out or sets to None has
        open_clip's defaults. Raises `UserError` for a value that open_clip's transform does not take."""
        size = cfg["size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        fill = cfg.get("fill_color") or 0
        interpolation = cfg.get("interpolation") or "bicubic"
        made = cls(
            size,
            cfg.get("resize_mode") or "shortest",
            "bicubic" if interpolation == "random" else interpolation,  # of training alone
            fill if isinstance(fill, int) else tuple(fill),
            _channels(cfg.get("mean"), OPENAI_DATASET_MEAN),
            _channels(cfg.get("std"), OPENAI_DATASET_STD),
        )
        for name, known in (("resize_mode", ResizeMode), ("interpolation", Interpolation)):
            if getattr(made, name) not in get_args(known):
                value, choices = getattr(made, name), ", ".join(get_args(known))
                raise UserError(f"preprocess_cfg has {name}={value!r}, which is none of {choices}")
        if len(made.size) != 2 or min(made.size) < 1:
            raise UserError(f"preprocess_cfg has size={made.size}, which is no height and width in pixels")
        for name in ("mean", "std"):
            values = getattr(made, name)
            if len(values) != 3 or not all(map(math.isfinite, values)) or (name == "std" and min(values) <= 0):
                raise UserError(f"preprocess_cfg has {name}={values}, which is not a value for each of three channels")
        return made


def published_preprocess_cfg(name: str, path: str) -> Mapping[str, Any]:
    """The `preprocess_cfg` of an architecture's published weights, for a file, which does not say its own. Warns where
    it is not open_clip's default, or where they differ."""
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
    warnings.warn(
        f"{path} does not say how images are prepared; taken, as for{others} {name}'s published weights: "
        f"{chosen['resize_mode']}, {chosen['interpolation']}, mean {chosen['mean']}, std {chosen['std']}; for others, "
        "give a folder with an open_clip_config.json",
        stacklevel=4,
    )
    return chosen


def complete_preprocess_cfg(model: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """`said` over open_clip's defaults, at the size of the image tower. Raises `UserError` as `Preprocess.of`."""
    cfg = {**merge_preprocess_dict(vars(PreprocessCfg()), dict(said)), "size": model.visual.image_size}
    Preprocess.of(cfg)
    return cfg


def _channels(values: Any, default: tuple[float, ...]) -> tuple[float, ...]:
    """One value per channel; a single number stands for all three."""
    if values is None:
        return default
    return (float(values),) * 3 if isinstance(values, (int, float)) else tuple(map(float, values))
