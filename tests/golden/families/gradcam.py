"""Grad-CAM of a model tuned by DAPT as released: activations, gradients, maps, and thresholded masks."""

from __future__ import annotations

import torch
from torch import Tensor

from cliptune.methods.dapt import Dapt
from cliptune.saliency.gradcam import activation_and_gradient, gradcam, resize_and_normalize, threshold_maps
from golden.case import Case
from golden.compare import Report
from golden.families.dapt import build
from golden.families.maple import maple

METHODS = ("DAPT Grad-CAM masks",)
#: Pixels closer than this to the threshold may be on either side of it (README, section 13).
NEAR = 1e-4


def check(case: Case, report: Report) -> None:
    images, labels, threshold = case.images, case.labels, case.hyper["threshold"]
    size = (images.shape[-2], images.shape[-1])
    model = build(case, report, Dapt(maple(case), compat="release")).eval()

    activation, gradient = activation_and_gradient(model, images, labels)
    for name, value in {"activation_ln1": activation, "gradient_ln1": gradient}.items():
        if report.wants(name):  # recorded with tokens first, and some of the channels
            report.tensor(name, value.transpose(0, 1)[..., : case.tensors[name].shape[-1]])

    cam = gradcam(model, images, labels)
    unit = resize_and_normalize(cam, size, batch_maximum=True)
    report.tensor("cam_lowres", cam)
    report.tensor("saliency", unit)
    report.masked("mask", threshold_maps(cam, size, threshold, batch_maximum=True), _far(unit, threshold))

    singles = [gradcam(model, image[None], label[None]) for image, label in zip(images, labels, strict=True)]
    masks = torch.cat([threshold_maps(single, size, threshold, batch_maximum=True) for single in singles])
    units = torch.cat([resize_and_normalize(single, size, batch_maximum=True) for single in singles])
    report.masked("mask_batch1", masks, _far(units, threshold))

    # For images in the paper: probabilities instead of logits, and unchanged values above the threshold.
    shown = gradcam(model, images, labels, "probability")
    unit = resize_and_normalize(shown, size, batch_maximum=True)
    unchanged_values = unit * threshold_maps(shown, size, threshold, batch_maximum=True)
    report.tensor("cam_lowres_vis_variant", shown)
    report.masked("saliency_vis_variant", unchanged_values, _far(unit, threshold))


def _far(unit: Tensor, threshold: float) -> Tensor:
    return (unit - threshold).abs() > NEAR
