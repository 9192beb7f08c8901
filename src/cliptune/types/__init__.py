"""Records shared by several packages, without logic."""

from cliptune.types.examples import NO_LABEL, Batch, DecodedImage, Example, Masks
from cliptune.types.outputs import BlockFeatures, ImageOutputs, Outputs
from cliptune.types.prompts import ImageContext, KeyValues, MadeTokens, Prompts
from cliptune.types.tasks import Result, State, Task, TestSet
from cliptune.types.towers import BlockChange, LinearBackend, LinearLayer, LowRank, TowerChange

__all__ = [
    "NO_LABEL",
    "Batch",
    "BlockChange",
    "BlockFeatures",
    "DecodedImage",
    "Example",
    "ImageContext",
    "ImageOutputs",
    "KeyValues",
    "LinearBackend",
    "LinearLayer",
    "LowRank",
    "MadeTokens",
    "Masks",
    "Outputs",
    "Prompts",
    "Result",
    "State",
    "Task",
    "TestSet",
    "TowerChange",
]
