"""Test pictures on which methods differ, with where each of them looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cliptune.data.assumed import assuming
from cliptune.data.transforms import normalise, shrunk, squeezed
from cliptune.gallery.rows import Answers, Rows, answers, first_of
from cliptune.masks.gradcam import saliency, to_unit
from cliptune.model import TunedModel
from cliptune.results.overlay import SHARP
from cliptune.results.panels import NO_PLACE, NOTHING_SEEN, Answer, Panel

#: Test sets to take pictures from, the most telling first.
PREFERRED = ("base/swap", "test/swap", "base", "test")


def panels(held: Rows, count: int = 8, limit: int = 500) -> list[Panel]:
    """`count` test pictures, of different classes where possible: those on which the rows' answers differ most, among
    at most `limit` of a test set."""
    said = answers(held, first_of(held, PREFERRED), limit)
    if not said.probabilities:
        return []
    chosen = choose(said.probabilities, said.labels, count)
    models = {label: held.models[label].with_classes(said.test.classnames).eval() for label in said.probabilities}
    return [_panel(models, said, held, i) for i in chosen]


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


def cams(model: TunedModel, images: Sequence[Tensor], labels: Sequence[int]) -> list[Tensor] | None:
    """Grad-CAM of a class of each uint8 picture `(3, H, W)`, over the whole of it: `(H, W)` in [0, 1]; None where the
    tower has no place for it."""
    backbone = model.backbone
    if not backbone.has_vit:
        return None
    device, preprocess = backbone.logit_scale.device, backbone.preprocess
    whole = torch.stack([squeezed(image, preprocess) for image in images])
    pixels = normalise(whole, preprocess.mean, preprocess.std).to(device)
    maps = saliency(model, pixels, torch.tensor(labels, device=device)).cpu()
    return [to_unit(one[None], tuple(im.shape[-2:]))[0, 0] for one, im in zip(maps, images, strict=True)]  # type: ignore


def _panel(models: Mapping[str, TunedModel], said: Answers, held: Rows, i: int) -> Panel:
    example = said.test.examples[i]
    with assuming():  # `sound` said what is assumed of all of them
        picture = shrunk((said.test.dataset or held.task.dataset).read(example), SHARP)
    given = []
    for label, model in models.items():
        best = int(said.probabilities[label][i].argmax())
        seen = cams(model, [picture.image], [best])
        blank = seen is not None and not bool(seen[0].any())
        given.append(
            Answer(
                method=label,
                prediction=said.test.classnames[best],
                probability=float(said.probabilities[label][i, best]),
                correct=best in (example.labels or (example.label,)),
                saliency=None if seen is None or blank else seen[0].numpy(),
                why=NOTHING_SEEN if blank else NO_PLACE,
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
