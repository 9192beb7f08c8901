"""Every number of every method and of a run's settings: unusable values are refused in one sentence."""

import dataclasses
import math

import pytest

from cliptune import methods
from cliptune.commands.background import Background
from cliptune.commands.data_show import DataShow
from cliptune.commands.demo import Demo
from cliptune.commands.execution import Execution
from cliptune.commands.masks_check import MasksCheck
from cliptune.commands.masks_make import MasksMake
from cliptune.commands.planning import Sweep
from cliptune.commands.predict import Predict
from cliptune.commands.report import Report
from cliptune.commands.results_table import ResultsTable
from cliptune.config import RunConfig
from cliptune.data.config import DataConfig
from cliptune.engine.config import TrainConfig
from cliptune.errors import UserError
from cliptune.methods.coop import CoOp

CLASSES = [methods.get(name) for name in methods.names()]
COMMANDS = [Background, DataShow, Demo, MasksMake, MasksCheck, Predict, Report, ResultsTable, Sweep]
NAN, INF = math.nan, math.inf
#: Invalid values; the table below lists fields where some of them are allowed.
INVALID = (NAN, INF, -INF, -1, 10**400, 2**63)
#: Class and field -> allowed values: a mean may be before the first epoch, a seed is any number of 63 bits.
ALLOWED = {("PromptSrc", "aggregate_mean"): (-1, 2**63)}


def numbers(cls):
    """Names of the fields with one or several numbers, and whether they are integers."""
    for field in dataclasses.fields(cls):
        kind = str(field.type)
        if kind in (
            "int",
            "float",
            "int | None",
            "float | None",
            "tuple[int, ...]",
            "tuple[float, ...]",
            "tuple[float, float]",
        ):
            yield field.name, kind


#: Values of fields without a default.
NEEDED = {
    RunConfig: {"method": CoOp()},
    Background: {"runs": ()},
    Predict: {"images": ()},
    MasksMake: {"data": "emoji", "out": "x"},
}


def built(cls, **values):
    """An instance with these values and the required fields."""
    return cls(**{**NEEDED.get(cls, {}), **values})


@pytest.mark.parametrize(
    "cls", [*CLASSES, TrainConfig, DataConfig, RunConfig, Execution, *COMMANDS], ids=lambda cls: cls.__name__
)
def test_invalid_numbers_are_refused(cls):
    for name, kind in numbers(cls):
        for value in INVALID:
            if value in ALLOWED.get((cls.__name__, name), ()):
                continue
            if isinstance(value, int) and value == 2**63 and "float" in kind:
                continue  # large but valid
            given = (value, *(0.5,) * (kind == "tuple[float, float]")) if kind.startswith("tuple") else value
            with pytest.raises(UserError, match=f"^{name} must be ") as caught:
                built(cls, **{name: given})
            assert len(str(caught.value)) < 200
    built(cls)


def test_every_method_with_numbers_is_tested():
    assert sum(len(list(numbers(cls))) for cls in CLASSES) > 40
