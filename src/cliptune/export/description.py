"""`classifier.json`: what is in an export, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cliptune import methods
from cliptune.analysis.calibration import FittedTemperature
from cliptune.config import RunConfig
from cliptune.export.resizing import OPEN, resize_lines, resize_words
from cliptune.model.tuned_model import TunedModel
from cliptune.version import __version__

#: The file of an export that describes the others.
FILE = "classifier.json"
#: Version of its format.
FORMAT = 1


def describe(model: TunedModel, run: RunConfig, temperature: FittedTemperature | None) -> dict[str, Any]:
    """The entries that all exports share: classes, preprocessing, origin, and the temperature if one was fitted."""
    shared = {
        "format": FORMAT,
        "cliptune": __version__,
        "method": methods.name_of(run.method),
        "backbone": model.backbone.name,
        "data": run.data,
        "classes": list(model.classnames),
        "preprocessing": describe_preprocessing(model, run),
    }
    return shared | ({} if temperature is None else {"temperature": asdict(temperature)})


def describe_preprocessing(model: TunedModel, run: RunConfig) -> dict[str, Any]:
    """The way from an image file to pixels, in words, as values and as lines of Python."""
    preprocess, preset = model.backbone.preprocess, run.training.augment
    return {
        "size": list(preprocess.size),
        "resize": resize_words(preprocess, preset),
        "python": [*OPEN, *resize_lines(preprocess, preset)],
        "interpolation": preprocess.interpolation,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "scale": "values from 0 to 255 are divided by 255, then mean is subtracted and divided by std, per RGB channel",
    }
