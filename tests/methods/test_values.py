"""Every number of every method and of a run's settings: what no computation can take is refused in one sentence."""

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
#: Values of no use; of those in the table below some are, by intent.
ODD = (NAN, INF, -INF, -1, 10**400, 2**63)
#: Class and field -> values that are fine: a mean may lie before the first epoch, seeds are any number of 63 bits.
FINE = {("PromptSrc", "aggregate_mean"): (-1, 2**63)}


def numbers(cls):
    """Names of the fields that hold numbers, or several, and whether they are whole."""
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


#: What has no default.
NEEDED = {
    RunConfig: {"method": CoOp()},
    Background: {"runs": ()},
    Predict: {"images": ()},
    MasksMake: {"data": "emoji", "out": "x"},
}


def built(cls, **values):
    """An instance with these values and the least of what has no default."""
    return cls(**{**NEEDED.get(cls, {}), **values})


@pytest.mark.parametrize(
    "cls", [*CLASSES, TrainConfig, DataConfig, RunConfig, Execution, *COMMANDS], ids=lambda cls: cls.__name__
)
def test_numbers_that_are_none(cls):
    for name, kind in numbers(cls):
        for value in ODD:
            if value in FINE.get((cls.__name__, name), ()):
                continue
            if isinstance(value, int) and value == 2**63 and "float" in kind:
                continue  # large, and a number all the same
            given = (value, *(0.5,) * (kind == "tuple[float, float]")) if kind.startswith("tuple") else value
            with pytest.raises(UserError, match=f"^{name} must be ") as caught:
                built(cls, **{name: given})
            assert len(str(caught.value)) < 200
    built(cls)


def test_every_method_that_has_numbers_was_tried():
    assert sum(len(list(numbers(cls))) for cls in CLASSES) > 40
