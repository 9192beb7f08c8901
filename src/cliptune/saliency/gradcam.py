"""Grad-CAM of a tuned model with respect to the input of its last visual block (DAPT-G)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cliptune.saliency.last_input import last_input

if TYPE_CHECKING:
    from cliptune.model.tuned_model import TunedModel

Score = Literal["logit", "probability"]


def activation_and_gradient(
    model: TunedModel, images: Tensor, labels: Tensor, score: Score = "logit", *, known: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output of the first layer norm in the last visual block, and the gradient of the true class's score.

    Args:
        images: Normalised images `(b, 3, H, W)`.
        labels: True classes `(b,)`.
        score: "logit" is the true class's logit among all sentences, divided by the number of logits. "probability" is
            its softmax among the classes.
        known: The images' `last_input`, if it was computed before.

    Returns:
        Two tensors `(b, 1 + patches + prompts, image_width)`.
    """
    tower, method = model.backbone.image_tower, model.method
    with torch.no_grad():
        prompts = model.prompts_for(images)
        x = last_input(model, images, prompts) if known is None else known
        activation = tower.norm_last(x, prompts)
    activation.requires_grad_()
    with torch.enable_grad():
        tokens = method.needs_tokens and bool(prompts.image)
        raw = tower.from_last(x, activation, prompts, tokens=tokens, patches=method.needs_patches)
        out = model.outputs({"image": raw}, {"image": images}, prompts, fixed_text=True)
        if score == "logit":
            logits = method.logits(replace(out, extra_text=None))
            if out.extra_text is not None:
                logits = torch.cat([logits, out.logit_scale * out.image["image"] @ out.extra_text.T], 1)
        else:
            logits = out.logits.softmax(-1)
        total = logits.gather(1, labels[:, None]).sum() / logits.numel()
        (gradient,) = torch.autograd.grad(total, activation)
    return activation.detach(), gradient


def gradcam(
    model: TunedModel, images: Tensor, labels: Tensor, score: Score = "logit", *, known: Tensor | None = None
) -> Tensor:
    """Grad-CAM maps `(b, 1, g, g)`, non-negative: channels weighted by their mean gradient over the patches
    (Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391). Arguments as for `activation_and_gradient`."""
    activation, gradient = activation_and_gradient(model, images, labels, score, known=known)
    rows, columns = model.backbone.patch_grid
    patches = slice(1, 1 + rows * columns)
    weights = gradient[:, patches].mean(1, keepdim=True)
    cam = (activation[:, patches] * weights).sum(-1).relu()
    return cam.unflatten(1, (rows, columns))[:, None]


def threshold_maps(
    cam: Tensor, size: tuple[int, int], threshold: float = 0.5, *, batch_maximum: bool = False
) -> Tensor:
    """Masks `(b, 1, *size)` of 0.0 and 1.0 from maps `(b, 1, g, g)`: resized, divided by the maximum, thresholded.

    batch_maximum: Divide by the maximum over the batch, as the released DAPT does, instead of each image's own. The
        mask of an image then depends on the other images of its batch, and weak maps give empty masks.
    """
    return (resize_and_normalize(cam, size, batch_maximum=batch_maximum) >= threshold).float()


def resize_and_normalize(cam: Tensor, size: tuple[int, int], *, batch_maximum: bool = False) -> Tensor:
    """Non-negative maps `(b, 1, g, g)`, resized to `size` and scaled to [0, 1]."""
    full = F.interpolate(cam, size, mode="bilinear", align_corners=True)
    largest = full.amax() if batch_maximum else full.amax((1, 2, 3), keepdim=True)
    # The release adds 1e-6, sized for logits divided by their number. With an image's own maximum, only division by
    # zero must be avoided.
    return full / (largest + 1e-6) if batch_maximum else full / largest.clamp_min(torch.finfo(full.dtype).tiny)
