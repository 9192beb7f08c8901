"""Masks from saliency maps of the model being tuned, computed before each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cliptune.masks.from_dataset import DataMasks
from cliptune.masks.source import MaskProblem, ModelMaskSource
from cliptune.saliency.gradcam import gradcam, resize_and_normalize
from cliptune.saliency.last_input import LastInputs
from cliptune.saliency.maskclip import maskclip
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel


@dataclass(frozen=True, eq=False)
class SaliencyMasks(ModelMaskSource):
    """Foreground is where the saliency of the true class reaches `threshold` times the image's maximum.

    Args:
        saliency: Function of model, images `(b, 3, H, W)`, labels `(b,)` and `known`, the images' `last_input` or None,
            that returns non-negative maps `(b, 1, g, g)`.
        maps: Saliency maps `(1, g, g)` by example key, as `refreshed` computes them.
        inputs: What the next refresh need not compute again; shared by the sources that `refreshed` returns.
    """

    saliency: Callable[..., Tensor]
    threshold: float = 0.5
    batch_size: int = 64
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    inputs: LastInputs = field(default_factory=LastInputs)

    def refreshed(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> SaliencyMasks:
        training, maps = model.training, dict[str, Tensor]()
        model.eval()
        device, fixed = model.backbone.logit_scale.device, model.prompts().fixed_image
        for keys, images, labels in batches:
            images = images.to(device)
            known = self.inputs.get(model, images) if fixed else None
            cam = self.saliency(model, images, labels.to(device), known=known).cpu()
            maps.update(zip(keys, cam, strict=True))
        model.train(training)
        return replace(self, maps=maps)

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        height, width = image.image.shape[-2:]
        # `threshold_maps` would make float32 copies, four bytes per pixel of a photograph.
        values = resize_and_normalize(self.maps[example.key][None], (height, width))[0]
        return (values >= self.threshold).to(torch.uint8) * 255


@dataclass(frozen=True, eq=False)
class GradCamMasks(SaliencyMasks):
    """Masks from Grad-CAM (DAPT-G)."""

    saliency: Callable[..., Tensor] = gradcam


@dataclass(frozen=True, eq=False)
class MaskClipMasks(SaliencyMasks):
    """Masks from MaskCLIP's patch features."""

    saliency: Callable[..., Tensor] = maskclip


@dataclass(frozen=True, eq=False)
class MixedMasks(ModelMaskSource):
    """Masks that come with the data for the examples whose keys are in `provided`, Grad-CAM for the others."""

    provided: frozenset[str]
    data: DataMasks = field(default_factory=DataMasks)
    computed: SaliencyMasks = field(default_factory=GradCamMasks)

    def find_problems(self, examples: Sequence[Example]) -> list[MaskProblem]:
        return self.data.find_problems([example for example in examples if example.key in self.provided])

    def refreshed(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> MixedMasks:
        return replace(self, computed=self.computed.refreshed(model, batches))

    def mask(self, example: Example, image: DecodedImage) -> Tensor:
        return (self.data if example.key in self.provided else self.computed).mask(example, image)
