"""Masks that come with the data for some images, Grad-CAM's for the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from cliptune.masks.from_dataset import DataMasks
from cliptune.masks.source import MaskProblem, ModelMaskSource
from cliptune.saliency.gradcam import GradCamMasks
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel


class MixedMasks(ModelMaskSource):
    """`DataMasks` for the examples whose keys are in `brought`, `GradCamMasks` for the others."""

    def __init__(self, brought: Collection[str]):
        self.brought, self.data, self.made = frozenset(brought), DataMasks(), GradCamMasks()
        self.batch_size = self.made.batch_size

    def faults(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return self.data.faults([example for example in examples if example.key in self.brought])

    def refresh(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> None:
        self.made.refresh(model, batches)

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        return (self.data if example.key in self.brought else self.made).mask(example, picture)
