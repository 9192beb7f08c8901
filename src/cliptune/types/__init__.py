"""Records shared by several packages, without logic."""

from cliptune.types.examples import NO_LABEL, Batch, DecodedImage, Example, Masks
from cliptune.types.outputs import BlockFeatures, ImageOutputs, Outputs
from cliptune.types.prompts import KeyValues, Prompts
from cliptune.types.tasks import Result, State, Task, TestSet
from cliptune.types.towers import BlockChange, LinearBackend, LinearLayer, LowRank, TowerChange

__all__ = [
    "NO_LABEL",
    "Batch",
    "BlockChange",
    "BlockFeatures",
    "DecodedImage",
    "Example",
    "ImageOutputs",
    "KeyValues",
    "LinearBackend",
    "LinearLayer",
    "LowRank",
    "Masks",
    "Outputs",
    "Prompts",
    "Result",
    "State",
    "Task",
    "TestSet",
    "TowerChange",
]
