"""Grad-CAM of the model being tuned, through the last block alone (DAPT-G)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.backbones.features import image_features
from cliptune.masks.source import ModelMaskSource
from cliptune.types import DecodedImage, Example

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel

Score = Literal["logit", "probability"]


def activation_and_gradient(
    model: TunedModel, images: Tensor, labels: Tensor, score: Score = "logit"
) -> tuple[Tensor, Tensor]:
    """LN1's output in the last visual block, and the gradient of the true class's score with respect to it.

    images: normalised `(b, 3, H, W)`. Both results `(b, 1 + patches + prompts, image_width)`. score: "logit" is the
    true
    class's logit among all sentences, divided by the number of logits; "probability" its softmax among the classes.
    """
    tower, method = model.backbone.image_tower, model.method
    with torch.no_grad():
        prompts = model.prompts()
        x = tower.before_last(images, prompts.image, lent=prompts.image_kv)
        activation = tower.blocks[-1].normed(x)
        last = partial(tower.from_last, lent=prompts.image_kv)
        seen = None if prompts.conditional is None else image_features(last(x, activation), prompts)
        text, phrases = model.encode_classes(None, prompts, seen)
    activation.requires_grad_()
    with torch.enable_grad():
        image = image_features(last(x, activation), prompts)
        scale = model.backbone.logit_scale
        if score == "logit":
            logits = method.classify(image, text, None, scale, prompts)
            if phrases is not None:
                logits = torch.cat([logits, scale * image @ phrases.T], 1)
        else:
            logits = method.classify(image, text, phrases, scale, prompts).softmax(-1)
        total = logits.gather(1, labels[:, None]).sum() / logits.numel()
        (gradient,) = torch.autograd.grad(total, activation)
    return activation.detach(), gradient


def gradcam(model: TunedModel, images: Tensor, labels: Tensor, score: Score = "logit") -> Tensor:
    """Grad-CAM maps `(b, 1, g, g)`, not negative: channels weighted by their mean gradient over the patches."""
    activation, gradient = activation_and_gradient(model, images, labels, score)
    rows, columns = model.backbone.patch_grid
    patches = slice(1, 1 + rows * columns)
    weights = gradient[:, patches].mean(1, keepdim=True)
    cam = (activation[:, patches] * weights).sum(-1).relu()
    return cam.unflatten(1, (rows, columns))[:, None]


def threshold_maps(
    cam: Tensor, size: tuple[int, int], threshold: float = 0.5, *, batch_maximum: bool = False
) -> Tensor:
    """`(b, 1, g, g)` -> float 0/1 `(b, 1, *size)`: resized, divided by the maximum, cut at `threshold`.

    The maximum is each image's own; the release divides by the batch's (`batch_maximum`), so that an image's mask
    depends on its
    neighbours and weak images get none.
    """
    return (resize_and_normalize(cam, size, batch_maximum=batch_maximum) >= threshold).float()


def resize_and_normalize(cam: Tensor, size: tuple[int, int], *, batch_maximum: bool = False) -> Tensor:
    """Maps resized to `size` and scaled to [0, 1]."""
    full = F.interpolate(cam, size, mode="bilinear", align_corners=True)
    largest = full.amax() if batch_maximum else full.amax((1, 2, 3), keepdim=True)
    # The release's guard is sized for logits divided by their number; an image's own maximum needs only protection
    # from zero.
    return full / (largest + 1e-6) if batch_maximum else full / largest.clamp_min(torch.finfo(full.dtype).tiny)


class GradCamMasks(ModelMaskSource):
    """Masks made anew before each epoch from the model as it then is, on whole pictures.

    Args: saliency: model, images, labels -> maps `(b, 1, g, g)`, not negative; by default Grad-CAM's.
    """

    def __init__(self, threshold: float = 0.5, batch_size: int = 64, saliency: Callable[..., Tensor] = gradcam):
        self.threshold, self.batch_size, self.saliency = threshold, batch_size, saliency
        self.maps: dict[str, Tensor] = {}

    def refresh(self, model: TunedModel, batches: Iterable[tuple[list[str], Tensor, Tensor]]) -> None:
        training = model.training
        model.eval()
        for keys, images, labels in batches:
            device = model.backbone.logit_scale.device
            cam = self.saliency(model, images.to(device), labels.to(device)).cpu()
            self.maps.update(zip(keys, cam, strict=True))
        model.train(training)

    def mask(self, example: Example, picture: DecodedImage) -> Tensor:
        height, width = picture.image.shape[-2:]
        # As `to_masks`, without its copies: four bytes a pixel of a photograph are many.
        return (resize_and_normalize(self.maps[example.key][None], (height, width))[0] >= self.threshold).to(
            torch.uint8
        ) * 255
