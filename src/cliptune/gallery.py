"""Test pictures on which methods differ, with where each of them looked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from cliptune import experiment
from cliptune.backbones.backbone import Backbone
from cliptune.data.sound import sound
from cliptune.data.transforms import normalise, to_square
from cliptune.engine.evaluate import logits
from cliptune.masks.gradcam import saliency, to_unit
from cliptune.model import TunedModel
from cliptune.results.panels import Answer, Panel
from cliptune.types import Task, TestSet

#: Test sets to take pictures from, the most telling first.
PREFERRED = ("base/swap", "test/swap", "base", "test")


def panels(folders: Mapping[str, Path], count: int = 8, limit: int = 960) -> list[Panel]:
    """`count` test pictures, of different classes where possible, for runs given by label -> folder.

    All runs must be of one task. The pictures are those on which the runs' answers differ most, in the first `limit`
    of the test set.
    """
    restored = {label: experiment.restore(folder) for label, folder in folders.items()}
    _, run = next(iter(restored.values()))
    task, _ = sound(experiment.task_of(run))
    name = next((n for n in PREFERRED if n in task.tests), next(iter(task.tests)))
    whole = task.tests[name]
    step = max(1, -(-len(whole.examples) // limit))
    test = TestSet(whole.examples[::step], whole.classnames)
    models = {
        label: model.with_classes(test.classnames).eval()
        for label, (model, _) in restored.items()
        if model.takes_other_classes or model.classnames == test.classnames
    }
    if not models:
        return []
    answers = {
        label: logits(model, task.dataset, test, preset=run.training.augment)[:, : len(test.classnames)].softmax(-1)
        for label, model in models.items()
    }
    chosen = choose(answers, torch.tensor([e.label for e in test.examples]), count)
    return [_panel(models, answers, task, test, i, name) for i in chosen]


def choose(answers: Mapping[str, Tensor], labels: Tensor, count: int) -> list[int]:
    """Positions of the `count` most disputed pictures `(n, c)` per run, one a class before any class comes twice."""
    right = torch.stack([probabilities.gather(1, labels[:, None])[:, 0] for probabilities in answers.values()])
    dispute = right.amax(0) - right.amin(0)
    order = sorted(range(len(labels)), key=lambda i: (-float(dispute[i]), i))
    seen: dict[int, int] = {}
    rank = {}
    for i in order:
        label = int(labels[i])
        rank[i] = seen[label] = seen.get(label, -1) + 1
    return sorted(order, key=lambda i: (rank[i], -float(dispute[i]), i))[:count]


def _panel(
    models: Mapping[str, TunedModel], answers: Mapping[str, Tensor], task: Task, test: TestSet, i: int, name: str
) -> Panel:
    example = test.examples[i]
    picture = task.dataset.read(example)
    given = []
    for label, model in models.items():
        best = int(answers[label][i].argmax())
        given.append(
            Answer(
                method=label,
                prediction=test.classnames[best],
                probability=float(answers[label][i, best]),
                correct=best == example.label,
                saliency=_saliency(model, picture.image, best),
            )
        )
    scene = f" on {example.background}" if example.background else ""
    return Panel(
        title=f"{test.classnames[example.label]}{scene}",
        label=name,
        image=picture.image,
        mask=picture.mask,
        answers=tuple(given),
    )


def _saliency(model: TunedModel, image: Tensor, label: int):
    """Grad-CAM of the predicted class over the whole picture, `(H, W)` in [0, 1]; None where the tower has no place
    for it."""
    backbone: Backbone = model.backbone
    if not backbone.has_vit:
        return None
    device = backbone.logit_scale.device
    pixels = normalise(to_square(image, backbone.image_size), backbone.mean, backbone.std)[None].to(device)
    cam = saliency(model, pixels, torch.tensor([label], device=device))
    return to_unit(cam, tuple(image.shape[-2:]))[0, 0].cpu().numpy()  # type: ignore[arg-type]
