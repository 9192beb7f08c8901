"""Collect test images on which methods disagree, with Grad-CAM maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.transforms import shrink, squash, standardise
from cliptune.model.tuned_model import TunedModel
from cliptune.report.collect.models import Predictions, RestoredModels, first_test_set, predict_test_set
from cliptune.report.overlay import MAX_SHORT_SIDE
from cliptune.report.report_data import EMPTY_GRADCAM, NO_GRADCAM, Panel, Prediction
from cliptune.saliency.gradcam import gradcam, resize_and_normalize

#: Test sets to choose images from, in order of preference.
PREFERRED_TEST_SETS = ("base/swap", "test/swap", "base", "test")


def collect_panels(restored: RestoredModels, count: int = 8, limit: int = 500) -> list[Panel]:
    """Collect the `count` test images on which the models disagree most, of different classes if possible, among at
    most `limit` images of a test set."""
    predictions = predict_test_set(restored, first_test_set(restored, PREFERRED_TEST_SETS), limit)
    if not predictions.probabilities:
        return []
    chosen = most_disputed(predictions.probabilities, predictions.labels, count)
    models = {
        label: restored.models[label].with_classes(predictions.test.classnames).eval()
        for label in predictions.probabilities
    }
    return [_panel(models, predictions, restored, i) for i in chosen]


def most_disputed(answers: Mapping[str, Tensor], labels: Tensor, count: int) -> list[int]:
    """Indices of the `count` most disputed images for probabilities `(n, C)` per model; classes repeat last."""
    right = torch.stack([probabilities.gather(1, labels[:, None])[:, 0] for probabilities in answers.values()])
    dispute = right.amax(0) - right.amin(0)
    order = sorted(range(len(labels)), key=lambda i: (-float(dispute[i]), i))
    seen: dict[int, int] = {}
    rank = {}
    for i in order:
        label = int(labels[i])
        rank[i] = seen[label] = seen.get(label, -1) + 1
    return sorted(order, key=lambda i: (rank[i], -float(dispute[i]), i))[:count]


def gradcam_maps(model: TunedModel, images: Sequence[Tensor], labels: Sequence[int]) -> list[Tensor] | None:
    """Grad-CAM maps `(H, W)` in [0, 1] of uint8 images `(3, H, W)`, each for its label; None unless the image tower
    is a ViT."""
    backbone = model.backbone
    if not backbone.has_vit:
        return None
    device, preprocess = backbone.logit_scale.device, backbone.preprocess
    views = torch.stack([squash(image, preprocess) for image in images])
    pixels = standardise(views, preprocess.mean, preprocess.std).to(device)
    maps = gradcam(model, pixels, torch.tensor(labels, device=device)).cpu()
    return [resize_and_normalize(m[None], tuple(im.shape[-2:]))[0, 0] for m, im in zip(maps, images, strict=True)]  # type: ignore


def _panel(models: Mapping[str, TunedModel], predictions: Predictions, restored: RestoredModels, i: int) -> Panel:
    example = predictions.test.examples[i]
    with collect_assumed_ranges():  # `drop_unreadable` has already warned for all images
        image = shrink((predictions.test.dataset or restored.task.dataset).read(example), MAX_SHORT_SIDE)
    answers = []
    for label, model in models.items():
        best = int(predictions.probabilities[label][i].argmax())
        saliency = gradcam_maps(model, [image.image], [best])
        blank = saliency is not None and not bool(saliency[0].any())
        answers.append(
            Prediction(
                method=label,
                prediction=predictions.test.classnames[best],
                probability=float(predictions.probabilities[label][i, best]),
                correct=best in (example.labels or (example.label,)),
                saliency=None if saliency is None or blank else saliency[0].numpy(),
                why=EMPTY_GRADCAM if blank else NO_GRADCAM,
            )
        )
    scene = f" on {example.background}" if example.background else ""
    return Panel(
        title=f"{predictions.test.classnames[example.label]}{scene}",
        label=predictions.name,
        image=image.image,
        mask=image.mask,
        answers=tuple(answers),
        untuned=restored.untuned,
    )
