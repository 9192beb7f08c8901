"""Masks that come with the data for some images, Grad-CAM's for the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from cliptune.masks.from_dataset import DataMasks
from cliptune.masks.source import MaskProblem, MaskSource
from cliptune.saliency.gradcam import GradCamMasks
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.data.loader import ExampleSet
    from cliptune.model.tuned_model import TunedModel


class MixedMasks(MaskSource):
    """`DataMasks` for the examples whose keys are in `brought`, `GradCamMasks` for the others."""

    changes = True
    uses_model = True

    def __init__(self, brought: Collection[str]):
        self.brought, self.data, self.made = frozenset(brought), DataMasks(), GradCamMasks()

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return self.data.faults([example for example in examples if example.key in self.brought])

    def refresh(self, model: TunedModel, examples: ExampleSet, epoch: int) -> None:
        self.made.refresh(model, examples, epoch)

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        return (self.data if example.key in self.brought else self.made).mask(example, picture)
