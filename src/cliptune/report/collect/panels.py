"""Collect test images on which methods disagree, with Grad-CAM maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cliptune.data.range_warnings import collect_assumed_ranges
from cliptune.data.transforms import normalise, shrink, squash
from cliptune.model.tuned_model import TunedModel
from cliptune.report.collect.models import Predictions, RestoredModels, first_test_set, predict_test_set
from cliptune.report.overlay import MAX_SHORT_SIDE
from cliptune.report.panels import EMPTY_GRADCAM, NO_GRADCAM, Panel, Prediction
from cliptune.saliency.gradcam import gradcam, resize_and_normalize

#: Test sets to choose images from, in order of preference.
PREFERRED_TEST_SETS = ("base/swap", "test/swap", "base", "test")


def collect_panels(held: RestoredModels, count: int = 8, limit: int = 500) -> list[Panel]:
    """Collect the `count` test images on which the models disagree most, of different classes if possible, among at
    most `limit` images of a test set."""
    said = predict_test_set(held, first_test_set(held, PREFERRED_TEST_SETS), limit)
    if not said.probabilities:
        return []
    chosen = most_disputed(said.probabilities, said.labels, count)
    models = {label: held.models[label].with_classes(said.test.classnames).eval() for label in said.probabilities}
    return [_panel(models, said, held, i) for i in chosen]


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
    """Grad-CAM of a class of each uint8 picture `(3, H, W)`, over the whole of it: `(H, W)` in [0, 1]; None where the
    tower has no place for it."""
    backbone = model.backbone
    if not backbone.has_vit:
        return None
    device, preprocess = backbone.logit_scale.device, backbone.preprocess
    whole = torch.stack([squash(image, preprocess) for image in images])
    pixels = normalise(whole, preprocess.mean, preprocess.std).to(device)
    maps = gradcam(model, pixels, torch.tensor(labels, device=device)).cpu()
    return [resize_and_normalize(one[None], tuple(im.shape[-2:]))[0, 0] for one, im in zip(maps, images, strict=True)]  # type: ignore


def _panel(models: Mapping[str, TunedModel], said: Predictions, held: RestoredModels, i: int) -> Panel:
    example = said.test.examples[i]
    with collect_assumed_ranges():  # `sound` said what is assumed of all of them
        picture = shrink((said.test.dataset or held.task.dataset).read(example), MAX_SHORT_SIDE)
    given = []
    for label, model in models.items():
        best = int(said.probabilities[label][i].argmax())
        seen = gradcam_maps(model, [picture.image], [best])
        blank = seen is not None and not bool(seen[0].any())
        given.append(
            Prediction(
                method=label,
                prediction=said.test.classnames[best],
                probability=float(said.probabilities[label][i, best]),
                correct=best in (example.labels or (example.label,)),
                saliency=None if seen is None or blank else seen[0].numpy(),
                why=EMPTY_GRADCAM if blank else NO_GRADCAM,
            )
        )
    scene = f" on {example.background}" if example.background else ""
    return Panel(
        title=f"{said.test.classnames[example.label]}{scene}",
        label=said.name,
        image=picture.image,
        mask=picture.mask,
        answers=tuple(given),
        untuned=held.untuned,
    )
