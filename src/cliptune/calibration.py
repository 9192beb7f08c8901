"""The temperature of a run: fitted on its validation images, stored in its directory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from cliptune import inspection, plain_values
from cliptune.analysis.calibration import FittedTemperature, fit_temperature
from cliptune.config import RunConfig
from cliptune.engine.watchers import Watcher
from cliptune.errors import UserError
from cliptune.files import read_bytes, read_text, write_json
from cliptune.model.tuned_model import TunedModel
from cliptune.run_dir import CALIBRATION, CHECKPOINT
from cliptune.types import Example, Task, TestSet

#: Fewer validation images than this give a warning.
FEW_IMAGES = 50


def fit_on_validation(
    model: TunedModel, run: RunConfig, task: Task, watchers: Sequence[Watcher] = ()
) -> FittedTemperature:
    """Fit the temperature of a model on the validation images of its task (see `validation_images`).

    Raises:
        UserError: As `fit_temperature`; and if there are no validation images.
    """
    examples = validation_images(task)
    if not examples:
        raise UserError(
            f"{run.data} has no validation images to fit a temperature on, and test images must not be used; add a val "
            f"split to the data"
        )
    test = TestSet(examples, task.classnames)
    (part,) = inspection.predict_probabilities(model, run, replace(task, tests={inspection.VAL: test}), watchers)
    return fit_temperature(part)


def validation_images(task: Task) -> tuple[Example, ...]:
    """All validation images of a user's own data, if the task has all of its classes; else those drawn for the task.

    Images that are trained or tested on are left out.
    """
    dataset, examples = task.dataset, task.val
    if not dataset.is_public and task.classnames == dataset.classnames:
        examples = tuple(dataset.aside() if dataset.uses_holdout else dataset.examples("val"))
    own = (test.examples for test in task.tests.values() if test.dataset is None)
    used = {e.key for part in (task.train, *own) for e in part}
    return tuple(e for e in examples if e.key not in used)


def write_temperature(folder: Path, fitted: FittedTemperature) -> Path:
    """Write a fitted temperature to a run directory. Returns the path of the file."""
    path = folder / CALIBRATION
    write_json(path, {**asdict(fitted), "fitted_on": "validation images", "checkpoint": _checkpoint_digest(folder)})
    return path


def read_temperature(folder: Path) -> FittedTemperature | None:
    """The temperature in a run directory, or None.

    Raises:
        UserError: The file is damaged, or was written for another checkpoint than that in the directory.
    """
    path = folder / CALIBRATION
    if not path.is_file():
        return None
    again = "fit it again: cliptune evaluate RUN --calibrate"
    try:
        content = plain_values.from_json(read_text(path, 1 << 16))
        temperature, (low, high), images, (before, after) = (
            content[key] for key in ("temperature", "interval", "images", "nll")
        )
        fitted = FittedTemperature(
            float(temperature), (float(low), float(high)), int(images), (float(before), float(after))
        )
        digest = content["checkpoint"]
        if not 0 < fitted.temperature < float("inf"):
            raise ValueError(f"temperature {temperature}")
    except (ValueError, KeyError, TypeError, OverflowError):
        raise UserError(f"{path} contains no temperature; {again}") from None
    if digest != _checkpoint_digest(folder):
        raise UserError(f"{path} was fitted for another checkpoint than that in {folder}; {again}")
    return fitted


def describe(fitted: FittedTemperature) -> str:
    """The temperature with its interval and the number of images, in words."""
    low, high = fitted.interval
    return f"{fitted.temperature:.3g} (95 %: {low:.3g} to {high:.3g}), fitted on {fitted.images} validation images"


def _checkpoint_digest(folder: Path) -> str:
    return hashlib.sha256(read_bytes(folder / CHECKPOINT, 1 << 34)).hexdigest()
